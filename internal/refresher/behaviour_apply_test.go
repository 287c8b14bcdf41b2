// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

func TestAPlanThatCannotBeWorkedOnChangesNothing(t *testing.T) {
	w := newWorld(t, 0)
	e := w.engine(Options{})
	good := w.plan(w.keyspace(long, func(k *Keyspace) { k.Keys = names("product:", 3) }))
	w.apply(e, good)
	eventually(t, "all are filled", 10*time.Second, func() bool { return products(e).Fresh == 3 })
	for what, change := range map[string]func(*Keyspace){
		"a template without an end":              func(k *Keyspace) { k.Key = "product:{id" },
		"a source key of another family":         func(k *Keyspace) { k.Keys = []string{"price:1"} },
		"a source key that is Keepfresh's own":   func(k *Keyspace) { k.Key, k.Keys = "{+any}", []string{"keepfresh:guard:x"} },
		"a URL with a placeholder the key lacks": func(k *Keyspace) { web(k).URL = w.backend.URL + "/{sku}" },
		"due only when it has expired":           func(k *Keyspace) { k.DueAfter = k.Expire },
		"due at once":                            func(k *Keyspace) { k.DueAfter = 0 },
		"no time for a rebuild":                  func(k *Keyspace) { k.GuardTimeout = 0 },
	} {
		t.Run(what, func(t *testing.T) {
			bad := w.keyspace(long, func(k *Keyspace) { k.Name = "bad" }, change)
			err := e.Apply(catalog, w.plan(good.Keyspaces[0], bad))
			var of *PlanError
			if !errors.As(err, &of) || of.Keyspace != "bad" {
				t.Fatalf("got %v, want a PlanError about the keyspace", err)
			}
			if snap, _ := e.Snapshot(catalog); len(snap.Keyspaces) != 1 || snap.Keyspaces[0].Fresh != 3 {
				t.Errorf("it has come into effect: %+v", snap)
			}
		})
	}
}

// A password is rotated: Redis gets the new one, the plan follows. What is
// known is kept: no load, no key forgotten, one listing.
func TestARotatedPasswordCostsNoLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5*time.Millisecond)
	rotate := func(password string) {
		if err := w.rdb.Do(t.Context(), "ACL", "SETUSER", "keepfresh", "on", "resetpass", ">"+password, "~*", "+@all").Err(); err != nil {
			t.Fatal(err)
		}
	}
	rotate("first")
	for _, key := range names("product:", 50) {
		w.set(key, "from the application", 55*time.Second)
	}
	e := w.engine(Options{})
	plan := w.plan(w.keyspace(long), w.keyspace(long, func(k *Keyspace) { k.Name, k.Key, k.Keys = "kept", "kept:{id}", names("kept:", 10) }))
	plan.Redis.Username, plan.Redis.Password = "keepfresh", "first"
	w.apply(e, plan)
	eventually(t, "all are known", 10*time.Second, func() bool { return products(e).Fresh == 50 && inspect(t, e, "kept").Fresh == 10 })
	loads := w.backend.total()

	rotate("second")
	w.rdb.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes")
	eventually(t, "the old password is told as refused", 10*time.Second, func() bool {
		snap, _ := e.Snapshot(catalog)
		return snap.Redis.Reason == redisconn.AuthenticationFailed
	})
	w.rdb.ConfigResetStat(t.Context())
	plan.Redis.Password = "second"
	w.apply(e, plan)
	if s := products(e); s.Keys != 50 || !s.Listed {
		t.Errorf("what was known is lost: %+v", s)
	}
	eventually(t, "the new one is taken", 10*time.Second, func() bool {
		snap, _ := e.Snapshot(catalog)
		return snap.Redis.Reason == redisconn.Connected
	})
	time.Sleep(time.Second)
	if n := w.backend.total() - loads; n > 0 {
		t.Errorf("%d loads", n)
	}
	if n := w.calls("scan"); n < 1 || n > 3 {
		t.Errorf("%d SCANs of 60 keys, want one or two", n)
	}
	if s, k := products(e), inspect(t, e, "kept"); s.Fresh != 50 || k.Fresh != 10 {
		t.Errorf("%+v %+v", s, k)
	}
	w.refresh(e, plan, "over the new connection")
	eventually(t, "it works", 20*time.Second, func() bool { return refreshed(e) == "over the new connection" })
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.stores) != 1 {
		t.Errorf("%d connections to one Redis", len(e.stores))
	}
}

// calls is how often Redis was given a command.
func (w *world) calls(command string) (n int) {
	stats := w.rdb.InfoMap(w.t.Context(), "commandstats").Item("Commandstats", "cmdstat_"+command)
	_, _ = fmt.Sscanf(stats, "calls=%d", &n)
	return n
}

func TestAnUpdateKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5*time.Millisecond)
	other := newBackend(t, 0)
	for _, key := range names("product:", 20) {
		w.set(key, "from the application", 55*time.Second)
	}
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(long)))
	eventually(t, "all are known", 10*time.Second, func() bool { return products(e).Fresh == 20 })

	moved := func(k *Keyspace) { web(k).URL = other.URL + "/{id}" }
	w.apply(e, w.plan(w.keyspace(long, moved)))
	time.Sleep(300 * time.Millisecond)
	if n := w.backend.total() + other.total(); n > 0 {
		t.Errorf("a new URL cost %d loads", n)
	}
	// With an expiry of 2 hours, 55 s are little: all are overdue at once.
	w.apply(e, w.plan(w.keyspace(long, moved, func(k *Keyspace) { k.Expire, k.DueAfter = 2*time.Hour, time.Hour })))
	eventually(t, "all are loaded from the new URL", 10*time.Second, func() bool { return products(e).Fresh == 20 })
	if w.backend.total() != 0 || other.total() != 20 {
		t.Errorf("%d loads from the old URL and %d from the new one", w.backend.total(), other.total())
	}
	if ttl := w.rdb.PTTL(t.Context(), "product:1").Val(); ttl < time.Hour {
		t.Errorf("written with the TTL %s, want 2 hours", ttl)
	}
}

// A load may run while the expiry changes: it writes the old one, and the key
// must be looked at in time.
func TestALoadFromBeforeAnUpdateDoesNotExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1500*time.Millisecond)
	slow := func(k *Keyspace) {
		k.Keys, k.GuardTimeout, web(k).Timeout = []string{"product:1"}, 5*time.Second, 5*time.Second
	}
	short := func(k *Keyspace) { k.Expire, k.DueAfter = 4*time.Second, 2*time.Second }
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(slow, short)))
	eventually(t, "a load runs", 5*time.Second, func() bool { return w.backend.total() == 1 })
	w.apply(e, w.plan(w.keyspace(slow, func(k *Keyspace) { k.Expire, k.DueAfter = 10*time.Minute, 5*time.Minute })))
	time.Sleep(300 * time.Millisecond) // that Redis is listed again does not help: it is not there yet
	eventually(t, "it has ended", 5*time.Second, func() bool { return w.get("product:1") != "" })
	for range 500 {
		if w.get("product:1") == "" {
			t.Fatal("it expired")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// What was loaded a moment ago for a short life is loaded again if lives become
// long: the old one will not last until the new age of refreshing.
func TestALongerExpiryLetsNoKeyExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	e := w.engine(Options{})
	ten := func(k *Keyspace) { k.Keys = names("product:", 10) }
	w.apply(e, w.plan(w.keyspace(ten, func(k *Keyspace) { k.Expire, k.DueAfter = 4*time.Second, 3*time.Second })))
	eventually(t, "all are filled", 10*time.Second, func() bool { return products(e).Fresh == 10 })
	w.apply(e, w.plan(w.keyspace(ten, long)))
	for range 500 {
		if key := firstMissing(t, w.rdb, names("product:", 10)); key != "" {
			t.Fatalf("%s expired", key)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := w.backend.total(); n > 30 {
		t.Errorf("%d loads of 10 keys", n)
	}
}

func TestAKeyThatIsNoSourceAnyMoreIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5*time.Millisecond)
	e := w.engine(Options{})
	source := func(keys ...string) func(*Keyspace) { return func(k *Keyspace) { k.Keys = keys } }
	w.apply(e, w.plan(w.keyspace(source("product:1", "product:2"))))
	eventually(t, "both are filled", 10*time.Second, func() bool { return products(e).Fresh == 2 })
	w.apply(e, w.plan(w.keyspace(source("product:2", "product:3"))))
	eventually(t, "the new one is filled, the old one forgotten", 10*time.Second, func() bool {
		return w.get("product:3") != "" && products(e).Keys == 2
	})
	eventually(t, "the old one expires", 10*time.Second, func() bool { return w.get("product:1") == "" })
	loads := w.backend.count("1")
	time.Sleep(2500 * time.Millisecond)
	if n := w.backend.count("1"); n != loads || w.get("product:1") != "" {
		t.Errorf("%d more loads of it", n-loads)
	}
	if key := firstMissing(t, w.rdb, []string{"product:2", "product:3"}); key != "" {
		t.Errorf("%s expired", key)
	}
}

func TestMetricsAreThereWhileThePolicyIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	metrics := prometheus.NewRegistry()
	e := w.engine(Options{Registerer: metrics})
	two := func(k *Keyspace) { k.Keys = names("product:", 2) }
	kept := w.keyspace(two, func(k *Keyspace) { k.Name, k.Key, k.Keys = "kept", "kept:{id}", []string{"kept:1"} })
	w.apply(e, w.plan(w.keyspace(two), kept))
	put(t, e, ID{"other", "policy"}, w.plan(w.keyspace(func(k *Keyspace) { k.Key = "other:{id}" })))
	eventually(t, "loads are counted", 10*time.Second, func() bool {
		return metric(t, metrics, "keepfresh_loads_total", "products") >= 2 && metric(t, metrics, "keepfresh_keys", "kept") == 1 &&
			metric(t, metrics, "keepfresh_load_duration_seconds", "kept") >= 1 && metric(t, metrics, "keepfresh_fresh_ratio", "shop") == 2
	})
	w.apply(e, w.plan(kept))
	eventually(t, "a keyspace's vanish with it", 10*time.Second, func() bool { return series(t, metrics, "catalog", "products") == 0 })
	if series(t, metrics, "catalog", "kept") == 0 || series(t, metrics, "policy", "products") == 0 {
		t.Error("others have vanished too")
	}
	e.Remove(catalog)
	eventually(t, "a policy's vanish with it", 10*time.Second, func() bool { return series(t, metrics, "catalog", "") == 0 })
	time.Sleep(200 * time.Millisecond)
	if n := series(t, metrics, "catalog", ""); n > 0 {
		t.Errorf("%d have come again", n)
	}
	if series(t, metrics, "policy", "products") == 0 {
		t.Error("another policy's have vanished too")
	}
	w.apply(e, w.plan(w.keyspace(two)))
	eventually(t, "they come again with it", 10*time.Second, func() bool { return series(t, metrics, "catalog", "products") > 0 })
}

// series counts the series with those label values.
func series(t *testing.T, r *prometheus.Registry, policy, keyspace string) (n int) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			has := map[string]string{}
			for _, l := range m.GetLabel() {
				has[l.GetName()] = l.GetValue()
			}
			if has["policy"] == policy && (keyspace == "" || has["keyspace"] == keyspace) {
				n++
			}
		}
	}
	return n
}
