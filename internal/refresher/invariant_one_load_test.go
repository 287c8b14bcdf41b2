// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Invariant 1: for one key, never two loads at once by those who honour the
// guard, across replicas and restarts, while the lease holds.
//
// Three engines believe that they own the same keys, and are asked to refresh
// all of them over and over on demand, so that they meet at every key. Loads
// take from a few milliseconds to longer than the lease, so that only renewal
// keeps others out. Meanwhile one engine is restarted again and again with its
// loads cut off, one loses its Redis for good as if it had been killed, so that
// its guards stay behind, and Redis throws all of them out.
func TestInvariant1OneLoadOfAKeyAtATime(t *testing.T) {
	t.Parallel()
	const lease, keys, lasts = 1500 * time.Millisecond, 40, 11 * time.Second
	w := newWorld(t, 0)
	w.broken = true // connections are killed under it
	log := &loadLog{running: map[string][]*loadRun{}}
	w.backend.answer(log.serve)

	metrics := prometheus.NewRegistry()
	plan := w.plan(w.keyspace(func(k *Keyspace) {
		k.Keys = names("product:", keys)
		k.Expire, k.DueAfter, k.GuardTimeout, web(k).Timeout = 10*time.Second, 2*time.Second, 5*time.Second, 5*time.Second
		k.MaxConcurrent = 12
	}))
	start := func(r prometheus.Registerer, address string) *Engine {
		e, p := w.engine(Options{Lease: lease, Registerer: r}), plan
		p.Redis.Address = address
		w.apply(e, p)
		return e
	}
	cut := newProxy(t, w.redis.Addr)
	stays := start(metrics, w.redis.Addr)
	killed := start(nil, cut.addr)
	restarted := start(nil, w.redis.Addr)

	began := time.Now()
	for i := 1; time.Since(began) < lasts; i++ {
		time.Sleep(300 * time.Millisecond)
		plan.Refresh = fmt.Sprint(i)
		w.apply(stays, plan)
		switch {
		case i == 10:
			cut.cut()
		case i == 16:
			w.rdb.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes")
		case i%4 == 0:
			restarted.Close(canceled())
			restarted = start(nil, w.redis.Addr)
		}
		if i == 20 {
			cut.mend()
			p := plan
			p.Redis.Address = cut.addr
			w.apply(killed, p)
		}
	}

	log.mu.Lock()
	defer log.mu.Unlock()
	for _, v := range log.violations {
		t.Error(v)
	}
	for _, key := range plan.Keyspaces[0].Keys {
		if n := w.backend.count(strings.TrimPrefix(key, "product:")); n < 3 {
			t.Errorf("%s was loaded %d times in %s, want at least 3", key, n, lasts)
		}
		if w.get(key) == "" {
			t.Errorf("%s is missing", key)
		}
	}
	if n := metric(t, metrics, "keepfresh_rebuilds_total", "held"); n < 20 {
		t.Errorf("the engines met at %v keys only: this test does not try", n)
	}
	if log.slow < 20 {
		t.Errorf("%d loads outlasted the lease: this test does not try", log.slow)
	}
	t.Logf("%d loads, %d of them longer than the lease, %d cut off; engine 1 found %v guards held",
		w.backend.total(), log.slow, log.cut, metric(t, metrics, "keepfresh_rebuilds_total", "held"))
}

// loadLog watches loads for two of one key at once.
type loadLog struct {
	mu         sync.Mutex
	running    map[string][]*loadRun
	violations []string
	slow, cut  int
}

type loadRun struct{ began time.Time }

// cutNotice is how long the backend may take to notice that a load was cut off.
// The next one may have begun by then, rightly.
const cutNotice = 500 * time.Millisecond

func (l *loadLog) serve(w http.ResponseWriter, r *http.Request) {
	run := &loadRun{time.Now()}
	l.mu.Lock()
	l.running[r.URL.Path] = append(l.running[r.URL.Path], run)
	l.mu.Unlock()

	takes := rand.N(700 * time.Millisecond)
	if rand.IntN(8) == 0 {
		takes = 1600*time.Millisecond + rand.N(600*time.Millisecond)
	}
	wasCut := !pause(r, takes)
	other := l.overlap(r.URL.Path, run)
	if other != nil && !wasCut {
		wasCut = !pause(r, cutNotice)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[r.URL.Path] = slices.DeleteFunc(l.running[r.URL.Path], func(o *loadRun) bool { return o == run })
	if takes > 1500*time.Millisecond && !wasCut {
		l.slow++
	}
	if wasCut {
		l.cut++
	}
	if other != nil && (!wasCut || time.Since(other.began) > cutNotice) {
		l.violations = append(l.violations, fmt.Sprintf("a load of %s began %s before the end of another (cut off: %v), which had run for %s",
			r.URL.Path, time.Since(other.began), wasCut, time.Since(run.began)))
	}
	_, _ = fmt.Fprint(w, "value")
}

// overlap is a load that began while run ran.
func (l *loadLog) overlap(path string, run *loadRun) *loadRun {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, other := range l.running[path] {
		if other != run && !other.began.Before(run.began) {
			return other
		}
	}
	return nil
}

// pause waits, and says whether the request was not cut off meanwhile.
func pause(r *http.Request, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	}
}
