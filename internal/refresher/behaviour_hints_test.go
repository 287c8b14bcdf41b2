// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

func listening(t *testing.T, w *world, change ...func(*Keyspace)) *Engine {
	t.Helper()
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(change...)))
	eventually(t, "key events are heard", 10*time.Second, func() bool {
		snap, _ := e.Snapshot(catalog)
		return snap.Watch.Reason == watch.Watching && products(e).Listed
	})
	return e
}

// An application writes a key, and sets its lifetime a while later. The next listing
// is 40 s away, but for what is heard.
func TestALifetimeThatIsSetLaterIsHeardOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, "--notify-keyspace-events", "Kn")
	e := listening(t, w, long)
	time.Sleep(2 * time.Second) // what listings there are at first
	scans := w.calls("scan")
	later := map[string]func(key string){
		"SET + EXPIRE":     func(key string) { w.rdb.Set(t.Context(), key, "1", 0) },
		"INCR + EXPIRE":    func(key string) { w.rdb.Incr(t.Context(), key) },
		"PERSIST + EXPIRE": func(key string) { w.rdb.Set(t.Context(), key, "1", time.Minute); w.rdb.Persist(t.Context(), key) },
	}
	keys := 0
	for what, write := range later {
		for _, pause := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond, time.Second, 3 * time.Second} {
			for i := range 4 {
				key := fmt.Sprintf("product:%s %s %d", what, pause, i)
				write(key)
				keys++
				time.AfterFunc(pause, func() {
					if i%2 == 0 {
						w.rdb.Expire(t.Context(), key, 55*time.Second)
					} else {
						w.rdb.GetEx(t.Context(), key, 55*time.Second)
					}
				})
			}
		}
	}
	eventually(t, "all are tracked", 12*time.Second, func() bool { return products(e).Fresh == int64(keys) })
	if n := w.calls("scan"); n != scans {
		t.Errorf("by %d listings, which says nothing of events", n-scans)
	}
}

// A lifetime that is set when nobody looks at the key any more is found by a listing,
// and in time.
func TestListeningMakesTheNetNoWiderThanTheShortestLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, "--notify-keyspace-events", "Kn")
	listening(t, w) // expire 2s
	for i := range 5000 {
		w.rdb.Set(t.Context(), "product:"+strconv.Itoa(i), "1", 0)
	}
	time.Sleep(500 * time.Millisecond)
	w.rdb.Expire(t.Context(), "product:"+strconv.Itoa(4500), 2*time.Second)
	time.Sleep(5 * time.Second)
	if n := w.rdb.Exists(t.Context(), "product:"+strconv.Itoa(4500)).Val(); n == 0 {
		t.Error("the key has expired")
	}
}
