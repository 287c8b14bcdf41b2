// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
)

// All that the engine does to a key that is not there publishes misses, and none
// of them counts; what a reader misses does.
func TestOurOwnCommandsAreNoMisses(t *testing.T) {
	t.Parallel()
	for sentence, flags := range map[string]string{"by keyspace": "Knm", "by keyevent": "KEAnm"} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Start(t, "--notify-keyspace-events", flags)
			e, app := listen(t, at(srv), Interest{Prefix: "product:", Misses: true}), srv.Client(t)
			e.want(t, Watching)
			var all, ours sync.WaitGroup
			ctx, stop := context.WithCancel(t.Context())
			readers := 0
			all.Go(func() { // readers, all the time
				for ; ctx.Err() == nil; readers++ {
					_ = app.Get(ctx, fmt.Sprintf("product:reader:%d", readers)).Err()
				}
			})
			for name, do := range engineCommands(t, e.rdb) {
				ours.Go(func() {
					for i := range 50 {
						keys := make([]string, 40)
						for j := range keys {
							keys[j] = fmt.Sprintf("product:ours:%s:%d:%d", name, i, j)
						}
						do(keys)
					}
				})
			}
			ours.Wait()
			stop()
			all.Wait()
			eventually(t, "the last miss", func() bool {
				return e.of(fmt.Sprintf("product:reader:%d", readers-2)).Has(Missed)
			})
			time.Sleep(4 * gather)
			e.mu.Lock()
			defer e.mu.Unlock()
			for key, kind := range e.heard {
				if len(key) > 12 && key[:13] == "product:ours:" && kind.Has(Missed) {
					t.Fatalf("our own %q was taken for a reader's miss", key)
				}
			}
			for i := range readers - 1 {
				if key := fmt.Sprintf("product:reader:%d", i); !e.heard[key].Has(Missed) {
					t.Fatalf("a reader's miss of %q was not heard of", key)
				}
			}
		})
	}
}

// engineCommands are those by which the engine touches keys.
func engineCommands(t *testing.T, rdb *redis.Client) map[string]func([]string) {
	g := guard.New(rdb, 2*time.Second)
	t.Cleanup(g.Wait)
	ctx := context.Background()
	acquire := func(keys []string) []guard.Settlement {
		found, err := g.Acquire(ctx, keys, time.Minute)
		if err != nil {
			t.Error(err)
		}
		var ends []guard.Settlement
		for _, f := range found {
			if f.TTL != guard.Missing {
				t.Errorf("a key is there: %v", f)
			}
			ends = append(ends, guard.Settlement{Lease: f.Lease})
		}
		return ends
	}
	settle := func(ends []guard.Settlement) {
		for _, done := range g.Settle(ctx, ends) {
			if done.Err != nil {
				t.Error(done.Err)
			}
		}
	}
	return map[string]func([]string){
		"listings and samples": func(keys []string) {
			if err := discover.Inspect(ctx, rdb, keys, func([]discover.Found) error { return nil }); err != nil {
				t.Error(err)
			}
		},
		"acquire and release": func(keys []string) { settle(acquire(keys)) },
		"fill": func(keys []string) {
			ends := acquire(keys)
			for i := range ends {
				ends[i].Value, ends[i].TTL = []byte("v"), time.Minute
			}
			settle(ends)
		},
		"fill and delete": func(keys []string) {
			ends := acquire(keys)
			for i := range ends {
				ends[i].Delete = true
			}
			settle(ends)
		},
		"one by one": func(keys []string) {
			for _, key := range keys {
				_ = rdb.PTTL(ctx, key).Err()
				_ = rdb.Get(ctx, key).Err()
				_ = rdb.Do(ctx, "TYPE", key).Err()
			}
		},
	}
}

// A reader who misses a key that we have just asked for is heard of soon.
func TestAReadersMissOfAKeyOfOurs(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, "--notify-keyspace-events", "Knm")
	e, app := listen(t, at(srv), Interest{Prefix: "product:", Misses: true}), srv.Client(t)
	must(t, e.rdb.PTTL(t.Context(), "product:1").Err())
	began := time.Now()
	eventually(t, "the reader", func() bool {
		_ = app.Get(t.Context(), "product:1").Err()
		return e.of("product:1").Has(Missed)
	})
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestOwn(t *testing.T) {
	type step func(o *own)
	var reader []string
	missed := func(o *own) { o.missed("k") }
	var number uint64
	send := func(o *own) { number = o.sent() }
	answer := func(ttl int64) step {
		return func(o *own) {
			c := redis.NewIntCmd(t.Context(), "PTTL", "k")
			c.SetVal(ttl)
			o.answered(number, c)
		}
	}
	fail := func(o *own) {
		c := redis.NewIntCmd(t.Context(), "PTTL", "k")
		c.SetErr(context.DeadlineExceeded)
		o.answered(number, c)
	}
	barrier := func(o *own) {
		if payload, wanted := o.begin(); wanted {
			o.passed(payload)
		}
	}
	for sentence, c := range map[string]struct {
		steps []step
		want  int
	}{
		"a reader's miss":                        {[]step{missed}, 1},
		"ours, before the answer":                {[]step{send, missed, answer(-2)}, 0},
		"ours, after the answer":                 {[]step{send, answer(-2), missed}, 0},
		"ours, of which the answer was lost":     {[]step{send, missed, fail}, 0},
		"three of ours for one answer":           {[]step{send, missed, missed, answer(-2), missed}, 0},
		"a reader's, after the barrier":          {[]step{send, answer(-2), barrier, missed}, 1},
		"a reader's, while we ask a key in vain": {[]step{send, missed, answer(1000)}, 1},
		"a reader's, while we ask, undecided":    {[]step{send, missed}, 0},
		"ours, behind an older barrier": {[]step{send, answer(-2), func(o *own) {
			payload, _ := o.begin()
			send(o)
			answer(-2)(o)
			o.passed(payload) // was sent before the second answer
		}, missed}, 0},
		"a reader's, held for the longest": {[]step{send, func(o *own) {
			first := number
			send(o)
			missed(o)
			answer(5)(o)
			number = first
		}, answer(5)}, 1},
	} {
		t.Run(sentence, func(t *testing.T) {
			reader = nil
			o := newOwn(func(key string) { reader = append(reader, key) })
			o.reset(true)
			for _, s := range c.steps {
				s(o)
			}
			if len(reader) != c.want {
				t.Errorf("%d misses passed, want %d", len(reader), c.want)
			}
		})
	}
}
