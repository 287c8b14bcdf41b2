// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// What is kept is more than Redis has memory for: it evicts what was just filled.
func TestConstantEvictionIsTold(t *testing.T) {
	for what, c := range map[string]struct{ keys, size int }{"many keys": {600, 8 << 10}, "few keys": {30, 160 << 10}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 0, "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
			value := []byte(strings.Repeat("x", c.size))
			w.backend.answer(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(value) })
			e := w.engine(Options{})
			w.apply(e, w.plan(w.keyspace(long, func(k *Keyspace) { k.Keys = names("product:", c.keys) })))
			eventually(t, "it is told", 90*time.Second, func() bool {
				snap, _ := e.Snapshot(catalog)
				return products(e).Losing > lossShare && snap.Evicted > 0
			})
			if err := w.rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "with memory enough it ends", 90*time.Second, func() bool {
				return products(e).Losing == 0 && products(e).Fresh == int64(c.keys)
			})
		})
	}
}

func TestWhenLossesAreConstant(t *testing.T) {
	for sentence, c := range map[string]struct {
		missing []int64 // of 100, by sample
		told    bool
	}{
		"nothing was lost":                  {[]int64{0, 0, 0, 0, 0, 0}, false},
		"all were lost once, by a FLUSHALL": {[]int64{100}, false},
		"twice":                             {[]int64{100, 0, 100}, false},
		"again and again":                   {[]int64{30, 0, 30, 30}, true},
		"a few each time":                   {[]int64{5, 5, 5, 5, 5, 5}, false},
		"long ago":                          {[]int64{30, 30, 30, 30, 0, 0, 0, 0}, false},
	} {
		var l losses
		for _, missing := range c.missing {
			l.add(missing, 100)
		}
		if share := l.constant(); (share > 0) != c.told {
			t.Errorf("%s: %v", sentence, share)
		}
	}
}

func TestEvictionsAreCountedOverAMinute(t *testing.T) {
	var e evictions
	for i, c := range []struct{ count, want int64 }{
		{1000, 0}, {1000, 0}, {1010, 10}, {1010, 10}, {1010, 10}, {1010, 10}, {1010, 10}, {1010, 10}, {1010, 0}, // the tenth look is a minute behind
		{3, 0}, {5, 2}, // after a restart
	} {
		if got := e.add(c.count); got != c.want {
			t.Errorf("look %d: %d, want %d", i, got, c.want)
		}
	}
}
