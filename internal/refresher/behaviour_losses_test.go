// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// What is kept is more than Redis has memory for: it evicts what was just filled.
func TestConstantEvictionIsTold(t *testing.T) {
	for what, c := range map[string]struct {
		keys, size int
		existing   bool   // the application writes them, and what it misses
		events     string // that Redis sends
	}{
		"many keys":                   {600, 8 << 10, false, ""},
		"few keys":                    {30, 160 << 10, false, ""},
		"evictions are heard of":      {300, 16 << 10, false, "Kegxn"},
		"keys that need not be there": {600, 8 << 10, true, ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 0, "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru", "--notify-keyspace-events", c.events)
			value := strings.Repeat("x", c.size)
			w.backend.answer(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(value)) })
			e := w.engine(Options{})
			w.apply(e, w.plan(w.keyspace(long, func(k *Keyspace) {
				if c.existing {
					w.writes(names("product:", c.keys), value)
				} else {
					k.Keys = names("product:", c.keys)
				}
			})))
			snapshot := func() Snapshot { snap, _ := e.Snapshot(catalog); return snap }
			eventually(t, "it is told", 90*time.Second, func() bool {
				return products(e).Losing > 0.05 && snapshot().Memory.Evicted > 0
			})
			if m := snapshot().Memory; m.Limit != "4.00M" || m.Policy != "allkeys-lru" {
				t.Errorf("of its memory is told: %+v", m)
			}
			if c.events != "" {
				w.backsOff(e)
			}
			if err := w.rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "with memory enough it ends", 120*time.Second, func() bool {
				return products(e).Losing == 0 && snapshot().Memory.Evicted == 0 && products(e).Fresh == int64(c.keys)
			})
		})
	}
}

// writes has an application write those keys that it misses, until the end of the test.
func (w *world) writes(keys []string, value string) {
	ctx, cancel := context.WithCancel(context.Background())
	var writing sync.WaitGroup
	writing.Go(func() {
		for ctx.Err() == nil {
			for _, key := range keys {
				_ = w.rdb.SetNX(ctx, key, value, time.Hour).Err()
			}
		}
	})
	w.t.Cleanup(func() {
		cancel()
		writing.Wait()
	})
}

// backsOff sees that there are hardly any loads, though they are told of evictions at
// once, and though keys are missing.
func (w *world) backsOff(e *Engine) {
	w.t.Helper()
	const few = 60 // in 2 s; the keys that are there need some 10; without a pause there were 1,900 to 2,100
	var before, now int
	var last time.Time
	eventually(w.t, "loads back off", 60*time.Second, func() bool {
		if time.Since(last) < 2*time.Second {
			return false
		}
		before, now, last = now, w.backend.total(), time.Now()
		return now-before <= few
	})
	if s := products(e); s.Losing == 0 || s.Missing == 0 {
		w.t.Errorf("loads have backed off, and this is told: losing %v, missing %d", s.Losing, s.Missing)
	}
}
