// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// overdue writes keys that ought to be refreshed at once.
func (w *world) overdue(keys []string) {
	w.t.Helper()
	for _, key := range keys {
		w.set(key, "from the application", 15*time.Second)
	}
}

func TestNoMoreLoadsAtOnceThanMaxConcurrent(t *testing.T) {
	for what, c := range map[string]struct{ max, want int }{"one": {1, 1}, "four": {4, 4}, "the default": {0, DefaultMaxConcurrent}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 50*time.Millisecond)
			w.overdue(names("product:", 30))
			e := w.engine(Options{})
			plan := w.plan(w.keyspace(long, func(k *Keyspace) { k.MaxConcurrent = c.max }))
			w.refresh(e, plan, "first")
			eventually(t, "all are loaded", 20*time.Second, func() bool { return w.tried(1) == 30 })
			w.refresh(e, plan, "second")
			eventually(t, "all are loaded again", 20*time.Second, func() bool { return w.tried(2) == 30 })
			if n := w.backend.peak(); n != c.want {
				t.Errorf("up to %d loads at once, want %d", n, c.want)
			}
		})
	}
}

func TestNoMoreLoadsPerSecondThanMaxPerSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.overdue(names("product:", 200))
	w.apply(w.engine(Options{}), w.plan(w.keyspace(long, func(k *Keyspace) { k.MaxPerSecond = 40 })))
	eventually(t, "120 loads have begun", 20*time.Second, func() bool { return w.backend.total() >= 120 })
	order := w.backend.order()
	// In any second: 40, and the burst of a tenth, and as many as may come late.
	for i := range order {
		n := 0
		for _, b := range order[i:] {
			if b.at.Sub(order[i].at) < time.Second {
				n++
			}
		}
		if n > 40+4+12 {
			t.Fatalf("%d loads began within a second, want 40", n)
		}
	}
	if took := order[119].at.Sub(order[0].at); took > 10*time.Second {
		t.Errorf("120 loads took %s, want 3 s", took)
	}
}

func TestUnderOverloadTheEarliestExpiryComesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20*time.Millisecond)
	keys := names("product:", 50)
	for i, key := range keys { // in an order of their own: 0, 7, 14, ...
		w.set(key, "from the application", 10*time.Second+time.Duration(i*7%50)*200*time.Millisecond)
	}
	w.apply(w.engine(Options{}), w.plan(w.keyspace(long, func(k *Keyspace) { k.MaxConcurrent, k.GuardTimeout = 1, 6*time.Second })))
	eventually(t, "all are loaded", 20*time.Second, func() bool { return w.tried(1) == 50 })
	rank := func(b begun) int {
		i := slices.Index(keys, "product:"+b.id)
		return i * 7 % 50
	}
	// A listing takes several steps: the first load begins before the last one.
	if order := w.backend.order()[1:]; !slices.IsSortedFunc(order, func(a, b begun) int { return rank(a) - rank(b) }) {
		ranks := make([]int, len(order))
		for i, b := range order {
			ranks[i] = rank(b)
		}
		t.Errorf("the ranks of the expiries, in the order of the loads: %v", ranks)
	}
}

// Two engines share the keys by a hash. Each looks after its own, and when one
// gets all, it takes over the other's.
func TestEnginesShareTheKeysThatTheyOwn(t *testing.T) {
	t.Parallel()
	const keys = 60
	w := newWorld(t, 5*time.Millisecond)
	names := names("product:", keys)
	for _, key := range names {
		w.set(key, "from the application", 3*time.Second)
	}
	var metrics [2]*prometheus.Registry
	var engines [2]*Engine
	var halves [2]*half
	for i := range engines {
		metrics[i], halves[i] = prometheus.NewRegistry(), newHalf(uint32(i))
		engines[i] = w.engine(Options{Registerer: metrics[i], Ownership: halves[i]})
		w.apply(engines[i], w.plan(w.keyspace(func(k *Keyspace) { k.Expire, k.DueAfter = 3*time.Second, 1500*time.Millisecond })))
	}
	eventually(t, "each key was loaded twice", 20*time.Second, func() bool { return w.tried(2) == keys })
	a, b := products(engines[0]).Keys, products(engines[1]).Keys
	if a+b != keys || a == 0 || b == 0 {
		t.Errorf("%d and %d keys, want %d together", a, b, keys)
	}
	for _, m := range metrics {
		if n := metric(t, m, "keepfresh_rebuilds_total", "held"); n > 0 {
			t.Errorf("they met %v times", n)
		}
	}

	engines[1].Close(canceled())
	halves[0].own(true)
	eventually(t, "one has taken all over", 10*time.Second, func() bool { return products(engines[0]).Keys == keys })
	if key := firstMissing(t, w.rdb, names); key != "" {
		t.Errorf("%s expired meanwhile", key)
	}
}

// An application that takes part holds a key's guard: the engine waits for it.
func TestAKeyWhoseGuardTheApplicationHoldsIsLeftToIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.set("product:1", "from the application", 15*time.Second)
	w.set("keepfresh:guard:{product:1}", "somebody's token", 2500*time.Millisecond)
	w.apply(w.engine(Options{Lease: 500 * time.Millisecond}), w.plan(w.keyspace(long)))
	for range 40 {
		if w.rdb.Exists(t.Context(), "keepfresh:guard:{product:1}").Val() == 1 && w.get("keepfresh:guard:{product:1}") == "somebody's token" && w.backend.total() > 0 {
			t.Fatal("it was loaded while the application held its guard")
		}
		time.Sleep(50 * time.Millisecond)
	}
	eventually(t, "it is loaded when the guard has ended", 10*time.Second, func() bool { return w.get("product:1") == "1 load 1" })
}

// Some keys always fail, among others that never do. The loader as a whole
// works, and is called so; the healthy keys lose nothing; the sick are not
// tried again and again.
func TestPoisonAmongHealthyKeys(t *testing.T) {
	t.Parallel()
	const lasts = 8 * time.Second
	w := newWorld(t, 0)
	w.backend.answer(func(rw http.ResponseWriter, r *http.Request) {
		if pause(r, 3*time.Millisecond); strings.HasPrefix(r.URL.Path, "/poison") {
			rw.WriteHeader(http.StatusInternalServerError)
		}
	})
	healthy, poison := names("product:", 60), names("product:poison", 12)
	for i, key := range healthy {
		if w.set(key, "from the application", 6*time.Second); i%5 == 0 { // never three in a row
			w.set(poison[i/5], "from the application", 20*time.Second+time.Duration(i)*50*time.Millisecond)
		}
		time.Sleep(2 * time.Millisecond)
	}
	var flaps atomic.Int64
	var state atomic.Value
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(func(k *Keyspace) { k.Expire, k.DueAfter = 6*time.Second, 1500*time.Millisecond })))
	for began := time.Now(); time.Since(began) < lasts; time.Sleep(5 * time.Millisecond) {
		if was := state.Swap(products(e).LoadersState); was != nil && was != state.Load() {
			flaps.Add(1)
		}
		if key := firstMissing(t, w.rdb, healthy); key != "" {
			t.Fatalf("%s expired", key)
		}
	}
	if n := flaps.Load(); n > 3 { // that the first three to fail are poison may happen once
		t.Errorf("the loader's state changed %d times", n)
	}
	if s := products(e); s.LoadersState != Succeeding {
		t.Errorf("in the end the loader is %q", s.LoadersState)
	}
	for _, key := range poison {
		if n := w.backend.count(strings.TrimPrefix(key, "product:")); n > 12 {
			t.Errorf("%s was tried %d times", key, n)
		}
	}
	for _, key := range healthy {
		if n := w.backend.count(strings.TrimPrefix(key, "product:")); n < 2 {
			t.Errorf("%s was loaded %d times in %s", key, n, lasts)
		}
	}
}
