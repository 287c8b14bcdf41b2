// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Two engines keep the same keys, as two replicas of the operator do. Loads take
// long enough for them to meet at many keys. Neither may report that anything is
// wrong, nor may the backend be asked more often than by one.
func TestTwoEnginesOnOnePolicyBothFindItFresh(t *testing.T) {
	t.Parallel()
	const keys, lasts = 20, 8 * time.Second
	w := newWorld(t, 150*time.Millisecond)
	plan := w.plan(w.keyspace(func(k *Keyspace) {
		k.Keys, k.MaxConcurrent = names("product:", keys), keys
		k.Expire, k.DueAfter = 3*time.Second, 1800*time.Millisecond
	}))
	metrics := []*prometheus.Registry{prometheus.NewRegistry(), prometheus.NewRegistry()}
	engines := []*Engine{w.engine(Options{Registerer: metrics[0]}), w.engine(Options{Registerer: metrics[1]})}
	for _, e := range engines {
		w.apply(e, plan)
	}
	for _, e := range engines {
		eventually(t, "both have settled", 5*time.Second, func() bool { return products(e).Converged })
	}
	loads := w.backend.total()
	began := time.Now()
	for time.Since(began) < lasts {
		time.Sleep(20 * time.Millisecond)
		for i, e := range engines {
			if s := products(e); TooLate(s.Late, s.Keys) || s.LoadersState == Failing || s.LastFailure != nil || !s.Converged {
				t.Fatalf("after %s engine %d reports %+v", time.Since(began), i, s)
			}
		}
		for _, key := range plan.Keyspaces[0].Keys {
			if w.get(key) == "" {
				t.Fatalf("after %s %s is missing", time.Since(began), key)
			}
		}
	}
	// One engine would load a key every 1.3 s to 1.8 s: what a load takes, and
	// jitter, make it earlier than the refresh ratio.
	if n, most := w.backend.total()-loads, int(keys*(lasts.Seconds()/1.2+1)); n > most {
		t.Errorf("%d loads of %d keys in %s, want %d at most", n, keys, lasts, most)
	}
	var held, notDue float64
	for _, m := range metrics {
		held += metric(t, m, "keepfresh_rebuilds_total", "held")
		notDue += metric(t, m, "keepfresh_rebuilds_total", "not_due")
	}
	if held < keys {
		t.Errorf("the engines met at %v keys only: this test does not try", held)
	}
	t.Logf("%d loads; %v guards were found held, and %v keys not due", w.backend.total()-loads, held, notDue)
}

// One engine stands by while the other keeps up, and goes on when that is gone.
func TestAStandbyLeavesTheLoadsToTheOtherEngineUntilThatIsGone(t *testing.T) {
	t.Parallel()
	const keys = 20
	w := newWorld(t, 50*time.Millisecond)
	w.broken = true // the guards of the one that is gone are left to their leases
	plan := w.plan(w.keyspace(func(k *Keyspace) {
		k.Keys, k.MaxConcurrent = names("product:", keys), keys
		k.Expire, k.DueAfter = 4*time.Second, 2*time.Second
	}))
	cut := newProxy(t, w.redis.Addr)
	there := plan
	there.Redis.Address = cut.addr
	first, standby := w.engine(Options{}), w.engine(Options{Standby: func() bool { return true }})
	w.apply(first, there)
	eventually(t, "the first engine has loaded all keys", 5*time.Second, func() bool { return products(first).Fresh == keys })
	w.apply(standby, plan)

	time.Sleep(6 * time.Second) // three lifetimes up to the refresh ratio
	if n := products(standby).Loads.Succeeded; n > keys/4 {
		t.Errorf("the standby made %d loads, the other %d", n, products(first).Loads.Succeeded)
	}
	// It learns of a refresh when it looks, as the key would turn stale: some may
	// seem so for a moment, but none for longer.
	if s := products(standby); s.Missing > 0 || s.Late > 0 {
		t.Errorf("the standby reports %+v", s)
	}

	cut.cut()
	loads := w.backend.total()
	for began := time.Now(); time.Since(began) < 8*time.Second; time.Sleep(20 * time.Millisecond) {
		for _, key := range plan.Keyspaces[0].Keys {
			if w.get(key) == "" {
				t.Fatalf("%s is missing %s after the other engine was gone", key, time.Since(began))
			}
		}
	}
	if n := w.backend.total() - loads; n < 3*keys {
		t.Errorf("%d loads of %d keys by the standby, in four lifetimes up to the refresh ratio", n, keys)
	}
	if s := products(standby); TooLate(s.Late, s.Keys) || s.LoadersState != Succeeding {
		t.Errorf("the standby reports %+v", s)
	}
}
