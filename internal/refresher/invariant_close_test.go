// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Invariant 7: SIGTERM: nothing new begins, what runs is finished or released,
// within the grace period.
//
// An engine is closed while loads run and many more keys are due.
func TestInvariant7Close(t *testing.T) {
	const concurrent = 8
	for what, c := range map[string]struct {
		takes   time.Duration
		grace   time.Duration
		written bool
	}{
		"what runs is finished and written if there is time": {time.Second, 20 * time.Second, true},
		"what runs is cut off when the time is over":         {20 * time.Second, 500 * time.Millisecond, false},
		"what runs is cut off at once if there is none":      {20 * time.Second, -1, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.takes)
			e := w.engine(Options{})
			w.apply(e, w.plan(w.keyspace(func(k *Keyspace) {
				k.Keys, k.MaxConcurrent = names("product:", 100), concurrent
				k.Expire, k.DueAfter, k.GuardTimeout, web(k).Timeout = 100*time.Second, 60*time.Second, 30*time.Second, 30*time.Second
			})))
			eventually(t, "loads run", 10*time.Second, func() bool { return w.backend.total() == concurrent })
			if n := len(guards(t, w.rdb)); n != concurrent {
				t.Errorf("%d guards are held during %d loads", n, concurrent)
			}

			ctx, cancel := context.WithTimeout(context.Background(), c.grace)
			defer cancel()
			began := time.Now()
			e.Close(ctx)
			took, most := time.Since(began), max(c.grace, 0)+10*time.Second
			if c.written {
				most = c.takes + 10*time.Second
			}
			if took > most {
				t.Errorf("it took %s", took)
			}

			if left := guards(t, w.rdb); len(left) > 0 {
				t.Errorf("guards are left: %q", left)
			}
			time.Sleep(300 * time.Millisecond)
			if n := w.backend.total(); n != concurrent {
				t.Errorf("%d loads began during or after the end", n-concurrent)
			}
			written := 0
			for i := range 100 {
				if strings.Contains(w.get(fmt.Sprint("product:", i)), "load 1") {
					written++
				}
			}
			if want := map[bool]int{true: concurrent}[c.written]; written != want {
				t.Errorf("%d values were written, want %d", written, want)
			}
			if err := e.Apply(catalog, w.plan(w.keyspace())); err == nil {
				t.Error("a closed engine takes a plan")
			}
			if _, ok := e.Snapshot(catalog); ok {
				t.Error("a closed engine has a snapshot")
			}
			e.Close(ctx) // a second time does no harm
		})
	}
}

func TestRemoveCutsLoadsOffAndReleasesGuards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20*time.Second)
	e := w.engine(Options{})
	slow := func(k *Keyspace) {
		k.Keys, k.GuardTimeout, web(k).Timeout = names("product:", 20), 30*time.Second, 30*time.Second
	}
	w.apply(e, w.plan(w.keyspace(slow)))
	eventually(t, "loads run", 10*time.Second, func() bool { return w.backend.total() == 6 })
	e.Remove(catalog)
	if _, ok := e.Snapshot(catalog); ok {
		t.Error("a policy that was removed has a snapshot")
	}
	eventually(t, "the guards are released", 10*time.Second, func() bool { return len(guards(t, w.rdb)) == 0 })
	time.Sleep(300 * time.Millisecond)
	if n := w.backend.total(); n != 6 {
		t.Errorf("%d loads, want the 6 that ran", n)
	}
	e.Remove(catalog)               // a second time does no harm
	e.Remove(ID{"shop", "no such"}) // nor does one that never was
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
