// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A load takes longer than there is between the refresh ratio and the expiry. By
// the ratio alone each key would be lost in each of its lifetimes.
func TestKeysOfASlowLoaderComeEarlyEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1200*time.Millisecond)
	keys := names("product:", 6)
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(func(k *Keyspace) {
		k.Keys, k.Expire, k.DueAfter, k.GuardTimeout = keys, 3*time.Second, 2*time.Second, 3*time.Second
		web(k).Timeout = 3 * time.Second
	})))
	eventually(t, "all are filled", 10*time.Second, func() bool { return firstMissing(t, w.rdb, keys) == "" })
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		if key := firstMissing(t, w.rdb, keys); key != "" {
			t.Fatalf("%s expired after %s", key, time.Since(began))
		}
	}
	for _, key := range keys {
		if n := w.backend.count(strings.TrimPrefix(key, "product:")); n > 6 { // every 2.2 s
			t.Errorf("%s was loaded %d times", key, n)
		}
	}
	if s := products(e); s.Slowest < 1200*time.Millisecond || s.Slowest > 1800*time.Millisecond || s.MaxRebuildTime != 2*time.Second || s.TooSlow {
		t.Errorf("%+v", s)
	}
}

// 400 keys end at once, and 125 can be loaded in a second: 3.2 s for all, where
// 2 lie between the refresh ratio and the expiry.
func TestKeysThatEndTogetherComeEarlyEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	keys := names("product:", 400)
	for _, key := range keys {
		w.set(key, "from the application", 6*time.Second)
	}
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(func(k *Keyspace) {
		k.Expire, k.DueAfter, k.MaxPerSecond = 6*time.Second, 4*time.Second, 125
	})))
	for began := time.Now(); time.Since(began) < 13*time.Second; time.Sleep(20 * time.Millisecond) {
		if key := firstMissing(t, w.rdb, keys); key != "" {
			t.Fatalf("%s expired after %s, and %d loads", key, time.Since(began), w.backend.total())
		}
		if s := products(e); s.TooSlow {
			t.Fatalf("it is called too slow: %+v", s)
		}
	}
	if n := w.backend.total(); n > 3*1200 {
		t.Errorf("%d loads in 13 s", n)
	}
}

func TestALoaderThatIsTooSlowIsToldOf(t *testing.T) {
	for what, c := range map[string]struct {
		batch, concurrent int
		delay             time.Duration
	}{
		"one by one": {0, 2, 32 * time.Millisecond},
		"in batches": {20, 1, 320 * time.Millisecond},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 0)
			var delay atomic.Int64
			delay.Store(int64(c.delay))
			loads := map[string]int{} // since all are known; under the backend's lock
			w.backend.answer(func(rw http.ResponseWriter, r *http.Request) {
				asked := struct{ Keys []string }{Keys: []string{"product:" + strings.TrimPrefix(r.URL.Path, "/")}}
				values := map[string]string{}
				if c.batch > 0 {
					if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
						t.Error(err)
					}
				}
				w.backend.mu.Lock()
				for _, key := range asked.Keys {
					loads[key]++
					values[key] = fmt.Sprint(loads[key])
				}
				w.backend.mu.Unlock()
				pause(r, time.Duration(delay.Load()))
				_ = json.NewEncoder(rw).Encode(map[string]any{"values": values})
			})
			registry := prometheus.NewRegistry()
			e := w.engine(Options{Registerer: registry})
			keys := names("product:", 400)
			w.apply(e, w.plan(w.keyspace(func(k *Keyspace) {
				k.Keys, k.Expire, k.DueAfter, k.MaxConcurrent = keys, 6*time.Second, 4*time.Second, c.concurrent
				if web(k).BatchSize = c.batch; c.batch > 0 {
					web(k).URL = w.backend.URL
				}
			})))
			// 400 keys in 4 s are needed; 2 in 32 ms, or 20 in 320, are loaded.
			eventually(t, "it is called too slow", 20*time.Second, func() bool { return products(e).TooSlow })
			time.Sleep(3 * time.Second)
			s := products(e)
			if s.Required != 100 || s.Achieved < 30 || s.Achieved > 64 || !s.TooSlow {
				t.Errorf("%.1f of %.1f loads per second, want some 60 of 100: %+v", s.Achieved, s.Required, s)
			}
			if n := metric(t, registry, "keepfresh_required_loads_per_second", ""); n != s.Required {
				t.Errorf("the metric says that %v are required, the snapshot %v", n, s.Required)
			}
			// Earliest expiry first: no key is loaded again before it is its turn.
			w.backend.mu.Lock()
			least, most := 1000, 0
			for _, key := range keys {
				least, most = min(least, loads[key]), max(most, loads[key])
			}
			w.backend.mu.Unlock()
			if most-least > 1 {
				t.Errorf("some keys were loaded %d times, others %d", least, most)
			}

			delay.Store(0)
			eventually(t, "it is fast enough again", 10*time.Second, func() bool {
				s := products(e)
				return !s.TooSlow && !TooLate(s.Late, s.Keys)
			})
		})
	}
}

// An application writes all keys anew, a little before they are due. To find
// that out is no load, and takes nothing of what may be loaded.
func TestLooksTakeNothingOfMaxPerSecond(t *testing.T) {
	t.Parallel()
	const keys = 300
	w := newWorld(t, 0)
	registry := prometheus.NewRegistry()
	e := w.engine(Options{Registerer: registry})
	for _, key := range names("product:", keys) {
		w.set(key, "from the application", 25*time.Second) // due within 5 s, at most 4 earlier
	}
	w.set("product:last", "from the application", 29500*time.Millisecond)
	w.apply(e, w.plan(w.keyspace(long, func(k *Keyspace) { k.MaxPerSecond = 5 })))
	eventually(t, "all are known", 5*time.Second, func() bool { return products(e).Keys == keys+1 })
	for _, key := range names("product:", keys) {
		w.set(key, "anew", time.Minute)
	}
	eventually(t, "the one that was not written is loaded", 12*time.Second, func() bool { return w.backend.count("last") == 1 })
	if n := metric(t, registry, "keepfresh_rebuilds_total", "not_due"); n < keys/3 {
		t.Errorf("%v keys were looked at, and found not to be due: too few for this to tell anything", n)
	}
}
