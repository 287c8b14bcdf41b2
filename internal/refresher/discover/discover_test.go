// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
)

func TestMain(m *testing.M) {
	redis.SetLogger(&logging.VoidLogger{}) // a Redis ends here on purpose
	goleak.VerifyTestMain(m)
}

func all(string) bool { return true }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill writes keys with a lifetime of a minute.
func fill(t testing.TB, rdb *redis.Client, keys ...string) {
	t.Helper()
	for some := range slices.Chunk(keys, 1000) {
		_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for _, key := range some {
				p.Set(t.Context(), key, "v", time.Minute)
			}
			return nil
		})
		must(t, err)
	}
}

func numbered(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint(prefix, i)
	}
	return keys
}

// scanned is what Scan yields, once each and in order.
func scanned(t testing.TB, rdb redis.Cmdable, pattern string, want func(string) bool) []string {
	t.Helper()
	seen := map[string]bool{}
	must(t, Scan(t.Context(), rdb, pattern, want, func(found []Found) error {
		for _, f := range found {
			seen[f.Key] = true
		}
		return nil
	}))
	keys := make([]string, 0, len(seen))
	for key := range seen {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func wantKeys(t testing.TB, got, want []string) {
	t.Helper()
	want = slices.Clone(want)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %.300q, want %.300q", got, want)
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	products := numbered("product:", 1500)
	for sentence, c := range map[string]struct {
		keys    []string
		pattern string
		want    func(string) bool
		found   []string
	}{
		"an empty Redis":           {nil, "*", all, nil},
		"one key":                  {[]string{"a"}, "*", all, []string{"a"}},
		"many steps":               {products, "*", all, products},
		"only what matches":        {append(numbered("page:", 700), products...), "product:*", all, products},
		"only what is wanted":      {products, "*", func(key string) bool { return key == "product:77" }, []string{"product:77"}},
		"nothing is wanted":        {products, "*", func(string) bool { return false }, nil},
		"bytes that are not UTF-8": {[]string{"\xff\x00\r\n", ""}, "*", all, []string{"\xff\x00\r\n", ""}},
	} {
		t.Run(sentence, func(t *testing.T) {
			must(t, rdb.FlushAll(t.Context()).Err())
			fill(t, rdb, c.keys...)
			wantKeys(t, scanned(t, rdb, c.pattern, c.want), c.found)
		})
	}
}

// The pattern of a template must let all its keys through, whatever characters
// they have, and is to hold back the others.
func TestPatternsOfTemplatesWithGlobCharacters(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	prefixes := []string{"a*", "a?", "a[b]", "a[^b]", "a[b", `a\`, `a\*`, "a]", "a-", `a[\]`, "a{x}", "a\xff", `"'`, "plain"}
	for _, prefix := range prefixes {
		fill(t, rdb, prefix+":1", prefix+":*")
	}
	fill(t, rdb, "ab:1", "abb:1", "ax:1", "a:1", `a\\:1`)
	for _, prefix := range prefixes {
		t.Run(prefix, func(t *testing.T) {
			template := parsed(strings.NewReplacer("{", "{{", "}", "}}").Replace(prefix) + ":{id}")
			var index keyspace.Index[int]
			index.Add(template, 1)
			wantKeys(t, scanned(t, rdb, index.Pattern(), template.Matches), []string{prefix + ":1", prefix + ":*"})
			if found := scanned(t, rdb, index.Pattern(), all); len(found) != 2 {
				t.Errorf("the pattern %q lets %q through", index.Pattern(), found)
			}
		})
	}
}

func TestScanSeesWhatIsThereThroughoutWhileOthersComeAndGo(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb, app := s.Client(t), s.Client(t)
	stable := numbered("stable:", 3000)
	fill(t, rdb, stable...)
	seen := map[string]bool{}
	steps := 0
	must(t, Scan(t.Context(), rdb, "*", all, func(found []Found) error {
		for _, f := range found {
			seen[f.Key] = true
			if f.TTL < 0 && (f.TTL != Missing || strings.HasPrefix(f.Key, "stable:")) {
				t.Errorf("%q has the TTL %d", f.Key, f.TTL)
			}
		}
		// The table grows to eight times its size, and shrinks again: Redis
		// rehashes it in both directions.
		switch steps++; {
		case steps <= 5:
			fill(t, app, numbered(fmt.Sprint("passing:", steps, ":"), 4000)...)
		case steps <= 10:
			return app.Unlink(t.Context(), numbered(fmt.Sprint("passing:", steps-5, ":"), 4000)...).Err()
		}
		return nil
	}))
	if steps < 11 {
		t.Errorf("there were %d steps only", steps)
	}
	for _, key := range stable {
		if !seen[key] {
			t.Errorf("%q was there all the time, and was not found", key)
		}
	}
}

func TestTTLs(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	for key, args := range map[string][]any{
		"minute":    {"EX", 60},
		"none":      nil,
		"centuries": {"EX", 8830080000},
		"millennia": {"EXAT", 99999999999},
	} {
		must(t, rdb.Do(t.Context(), append([]any{"SET", key, "v"}, args...)...).Err())
	}
	began := time.Now()
	got := map[string]Found{}
	must(t, Inspect(t.Context(), rdb, []string{"minute", "none", "missing", "centuries", "millennia"}, func(found []Found) error {
		for _, f := range found {
			got[f.Key] = f
		}
		return nil
	}))
	for key, want := range map[string]time.Duration{
		"minute": time.Minute, "none": NoExpiry, "missing": Missing, "centuries": 8830080000 * time.Second, "millennia": math.MaxInt64,
	} {
		f := got[key]
		if f.TTL > want || f.TTL < want-10*time.Second || (want < 0 && f.TTL != want) {
			t.Errorf("the TTL of %q is %d, want %d", key, f.TTL, want)
		}
		if f.At.Before(began) || f.At.After(time.Now()) {
			t.Errorf("that of %q was said at %s", key, f.At)
		}
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	for _, n := range []int{0, 1, depth - 1, depth, depth + 1, 3*depth + 5} {
		t.Run(fmt.Sprintf("%d keys", n), func(t *testing.T) {
			keys := numbered("k", n)
			before := slices.Clone(keys)
			var got []string
			must(t, Inspect(t.Context(), rdb, keys, func(found []Found) error {
				if len(found) == 0 || len(found) > depth {
					t.Errorf("%d at once", len(found))
				}
				for _, f := range found {
					got = append(got, f.Key)
				}
				return nil
			}))
			if !slices.Equal(got, before) || !slices.Equal(keys, before) {
				t.Errorf("found %d keys in another order, or changed the caller's", len(got))
			}
		})
	}
}

func TestAListingEnds(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	keys := numbered("k", 2000)
	fill(t, rdb, keys...)
	enough := errors.New("enough")
	for sentence, list := range map[string]func(context.Context, func([]Found) error) error{
		"Scan":    func(ctx context.Context, yield func([]Found) error) error { return Scan(ctx, rdb, "*", all, yield) },
		"Inspect": func(ctx context.Context, yield func([]Found) error) error { return Inspect(ctx, rdb, keys, yield) },
	} {
		t.Run(sentence+" with yield's error", func(t *testing.T) {
			calls := 0
			err := list(t.Context(), func([]Found) error { calls++; return enough })
			if !errors.Is(err, enough) || calls != 1 {
				t.Errorf("the error is %v after %d calls", err, calls)
			}
		})
		t.Run(sentence+" with its context", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			calls := 0
			err := list(ctx, func([]Found) error { calls++; cancel(); return nil })
			if !errors.Is(err, context.Canceled) || calls != 1 {
				t.Errorf("the error is %v after %d calls", err, calls)
			}
		})
		t.Run(sentence+" before it begins", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := list(ctx, func([]Found) error { t.Error("it found something"); return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	t.Run("when Redis has ended", func(t *testing.T) {
		s.Stop()
		if err := Scan(t.Context(), rdb, "*", all, func([]Found) error { return nil }); err == nil {
			t.Error("there is no error")
		}
	})
}

// clocked measures how long Redis is at work for us.
type clocked struct {
	worked, longest atomic.Int64
	commands        atomic.Int64
	deepest         atomic.Int64
}

func (c *clocked) note(began time.Time, commands int) {
	took := int64(time.Since(began))
	c.worked.Add(took)
	c.longest.Store(max(c.longest.Load(), took))
	c.commands.Add(int64(commands))
	c.deepest.Store(max(c.deepest.Load(), int64(commands)))
}

func (c *clocked) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *clocked) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		defer c.note(time.Now(), 1)
		return next(ctx, cmd)
	}
}

func (c *clocked) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		defer c.note(time.Now(), len(cmds))
		return next(ctx, cmds)
	}
}

func TestAListingRestsThreeTimesAsLongAsItWorks(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	keys := numbered("k", 3000)
	fill(t, rdb, keys...)
	for sentence, list := range map[string]func(yield func([]Found) error) error{
		"Scan":                 func(yield func([]Found) error) error { return Scan(t.Context(), rdb, "*", all, yield) },
		"Scan finding nothing": func(yield func([]Found) error) error { return Scan(t.Context(), rdb, "x*", all, yield) },
		"Inspect":              func(yield func([]Found) error) error { return Inspect(t.Context(), rdb, keys, yield) },
	} {
		t.Run(sentence, func(t *testing.T) {
			c := &clocked{}
			rdb.AddHook(c)
			began := time.Now()
			must(t, list(func([]Found) error { return nil }))
			// Timers never fire early, so a busy machine cannot break this.
			if took, worked := time.Since(began), time.Duration(c.worked.Load()); took < (1+pauseFactor)*worked {
				t.Errorf("it took %s, %s of it at work", took, worked)
			}
			if n := c.deepest.Load(); n > depth {
				t.Errorf("a pipeline is %d deep", n)
			}
			if c.commands.Load() == 0 {
				t.Error("nothing was counted")
			}
		})
	}
}

func BenchmarkScan(b *testing.B) {
	rdb := redistest.Start(b).Client(b)
	fill(b, rdb, numbered("product:", 100_000)...)
	for b.Loop() {
		must(b, Scan(b.Context(), rdb, "*", all, func([]Found) error { return nil }))
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
}

// parsed is a template that is right.
func parsed(template string) *keyspace.Template {
	t, err := keyspace.Parse(template)
	if err != nil {
		panic(err)
	}
	return t
}
