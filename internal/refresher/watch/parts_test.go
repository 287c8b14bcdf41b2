// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestMerge(t *testing.T) {
	for sentence, c := range map[string]struct {
		prefixes []string
		limit    int
		want     []string
	}{
		"none":                   {nil, 2, nil},
		"one":                    {[]string{"a:"}, 2, []string{"a:"}},
		"twice the same":         {[]string{"a:", "a:"}, 2, []string{"a:"}},
		"one within another":     {[]string{"a:b:", "a:"}, 2, []string{"a:"}},
		"everything":             {[]string{"a:", "", "b:"}, 2, []string{""}},
		"as many as are allowed": {[]string{"b:", "a:"}, 2, []string{"a:", "b:"}},
		"too many, alike":        {[]string{"a:1", "a:2", "a:3", "b:"}, 2, []string{"a:", "b:"}},
		"too many, of all sorts": {[]string{"a", "b", "c"}, 2, []string{""}},
		"too many, one is short": {[]string{"a", "bcd", "bce"}, 2, []string{"a", "bc"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			if got := merge(c.prefixes, c.limit); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMergeCoversAllPrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var prefixes []string
		for range r.IntN(30) {
			p := make([]byte, r.IntN(6))
			for i := range p {
				p[i] = "ab:"[r.IntN(3)]
			}
			prefixes = append(prefixes, string(p))
		}
		limit := 1 + r.IntN(8)
		got := merge(prefixes, limit)
		if len(got) > limit {
			t.Fatalf("%q for a limit of %d", got, limit)
		}
		for _, p := range prefixes {
			if !covered(p, got) {
				t.Fatalf("%q leave out %q", got, p)
			}
		}
		for i, a := range got {
			for j, b := range got {
				if i != j && strings.HasPrefix(a, b) {
					t.Fatalf("%q covers %q", b, a)
				}
			}
		}
	}
}

// Redis hides n where A is set, so union cannot go by what it sees.
func TestUnionNeverRemovesAFlag(t *testing.T) {
	const flags = "KEAg$lshzxetdnm"
	for bits := range 1 << len(flags) {
		var set strings.Builder
		for i, f := range flags {
			if bits>>i&1 == 1 {
				set.WriteRune(f)
			}
		}
		for _, misses := range []bool{false, true} {
			got := union(set.String(), misses)
			if !strings.HasPrefix(got, set.String()) || !strings.Contains(got, "n") || !strings.ContainsAny(got, "KE") ||
				misses && !strings.Contains(got, "m") || len(got) > set.Len()+3 {
				t.Fatalf("%q became %q", set.String(), got)
			}
		}
	}
}

func TestQueueKeepsTheLastOfEachKey(t *testing.T) {
	for sentence, c := range map[string]struct {
		kinds []Kind
		want  Kind
	}{
		"new, then gone":          {[]Kind{Created, Gone}, Gone},
		"gone, then new":          {[]Kind{Gone, Created}, Created},
		"gone, and then missed":   {[]Kind{Gone, Missed, Missed}, Gone | Missed},
		"missed, and then filled": {[]Kind{Missed, Created}, Created | Missed},
	} {
		t.Run(sentence, func(t *testing.T) {
			q := newQueue()
			for _, k := range c.kinds {
				q.put("k", k)
			}
			events, lost := q.take()
			if !slices.Equal(events, []Event{{"k", c.want}}) || lost {
				t.Errorf("got %v, lost: %v", events, lost)
			}
			if events, _ := q.take(); len(events) != 0 {
				t.Errorf("it is not empty: %v", events)
			}
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	for sentence, key := range map[string]func(int) string{
		"in number": func(i int) string { return fmt.Sprint(i) },
		"in bytes":  func(i int) string { return fmt.Sprint(large, i) },
	} {
		t.Run(sentence, func(t *testing.T) {
			q := newQueue()
			n := 0
			for ; !q.lost && n <= maxQueued; n++ {
				q.put(key(n), Created)
				if q.bytes > maxQueuedBytes || len(q.events) > maxQueued {
					t.Fatalf("%d events, %d bytes", len(q.events), q.bytes)
				}
			}
			q.put(key(n), Created)
			if events, lost := q.take(); !lost || len(events) != 0 || n < 10 {
				t.Errorf("after %d, %d events, lost: %v", n, len(events), lost)
			}
			q.put("k", Created)
			if events, lost := q.take(); lost || len(events) != 1 {
				t.Error("it does not go on")
			}
		})
	}
}

func TestABillionReadsOfOneKeyTakeOnePlace(t *testing.T) {
	q := newQueue()
	for range 2 * maxQueued {
		q.put("k", Missed)
	}
	if events, lost := q.take(); lost || len(events) != 1 {
		t.Errorf("%d events, lost: %v", len(events), lost)
	}
}

func TestEventsGatherBeforeTheyAreHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var batches []int
		w := &Watcher{queue: newQueue(), h: Handler{Events: func(e []Event) {
			mu.Lock()
			defer mu.Unlock()
			batches = append(batches, len(e))
		}}}
		handed := func() []int {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(batches)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go w.deliver(ctx)
		for i := range 10 {
			w.queue.put(fmt.Sprint(i), Created)
			time.Sleep(gather / 20)
		}
		if got := handed(); len(got) != 0 {
			t.Errorf("handed over too soon: %v", got)
		}
		time.Sleep(gather)
		if got := handed(); !slices.Equal(got, []int{10}) {
			t.Errorf("handed over: %v", got)
		}
	})
}
