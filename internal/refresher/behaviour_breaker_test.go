// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// Keys that wait for a worker of the pool have been acquired already, many more than
// there are workers where loads are quick.
func TestAnOpenBreakerLetsGoOfTheKeysThatWait(t *testing.T) {
	const keys, good = 2000, 1000
	w := newWorld(t, 0)
	var calls atomic.Int64
	w.backend.answer(func(rw http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) > good {
			time.Sleep(10 * time.Millisecond) // else many fail before the first is accounted for
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	for _, name := range names("product:", keys) {
		w.set(name, "old", time.Minute)
	}
	e := w.engine(Options{})
	p := w.plan(w.keyspace(func(k *Keyspace) {
		k.Expire, k.DueAfter, k.GuardTimeout, k.MaxConcurrent = time.Minute, 40*time.Second, 5*time.Second, 4
	}))
	w.apply(e, p)
	eventually(t, "the keys are found", 5*time.Second, func() bool { return products(e).Keys == keys })
	p.Refresh = "now"
	w.apply(e, p)
	eventually(t, "the breaker opens, and no key waits", 10*time.Second, func() bool {
		return calls.Load() > good && len(guards(t, w.rdb)) == 0
	})
	if failed := calls.Load() - good; failed > 50 {
		t.Errorf("a loader that is down was called %d times, by 4 at once", failed)
	}
}
