// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What Metrics says is what a registry gathers, down to the values of labels,
// when all goes wrong that a loader and a Redis can make go wrong.
func TestMetricsAreAsDescribed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	registry := prometheus.NewRegistry()
	e := w.engine(Options{Registerer: registry})
	proxy := newProxy(t, w.redis.Addr)
	plan := w.plan(w.keyspace(func(k *Keyspace) { k.Keys = names("product:", 3) }))
	plan.Redis.Address = proxy.addr
	w.apply(e, plan)
	eventually(t, "loads succeed", 10*time.Second, func() bool {
		return metric(t, registry, "keepfresh_loads_total", "ok") >= 3 && metric(t, registry, "keepfresh_redis_up", "") == 1 &&
			metric(t, registry, "keepfresh_nearest_expiry_seconds", "") > 0 && metric(t, registry, "keepfresh_settled", "") == 1
	})
	if is, want := metric(t, registry, "keepfresh_required_loads_per_second", ""), 3/metric(t, registry, "keepfresh_stale_after_seconds", ""); is != want {
		t.Errorf("%v loads per second are required, want %v", is, want)
	}
	w.backend.status(500)
	eventually(t, "failures open the breaker, and keys expire", 20*time.Second, func() bool {
		return metric(t, registry, "keepfresh_loads_total", "UnexpectedStatus") >= 3 && metric(t, registry, "keepfresh_breaker_open", "") == 1 &&
			metric(t, registry, "keepfresh_expired_keys_total", "") == 3 && metric(t, registry, "keepfresh_keys", "missing") == 3 &&
			metric(t, registry, "keepfresh_late_keys", "") == 3 && metric(t, registry, "keepfresh_nearest_expiry_seconds", "") == 0
	})
	eventually(t, "Redis is asked for evictions", 20*time.Second, func() bool {
		families, err := registry.Gather()
		for _, f := range families {
			if f.GetName() == "keepfresh_redis_evicted_keys" {
				return err == nil
			}
		}
		return false
	})
	proxy.cut()
	eventually(t, "Redis is gone", 10*time.Second, func() bool {
		return metric(t, registry, "keepfresh_redis_up", "") == 0 && metric(t, registry, "keepfresh_redis_errors_total", "ConnectionFailed") > 0
	})

	described := map[string]Metric{}
	for _, m := range Metrics() {
		described[m.Name] = m
		if m.Help == "" || !regexp.MustCompile(`^keepfresh_[a-z_]+$`).MatchString(m.Name) || (m.Type == "counter") != strings.HasSuffix(m.Name, "_total") {
			t.Errorf("%s is a %s: %q", m.Name, m.Type, m.Help)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range families {
		d := described[f.GetName()]
		seen[d.Name] = true
		if d.Help != f.GetHelp() || !strings.EqualFold(d.Type, f.GetType().String()) {
			t.Errorf("%s, a %s, is described otherwise", f.GetName(), f.GetType())
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				i := slices.IndexFunc(d.Labels, func(x Label) bool { return x.Name == l.GetName() })
				if i < 0 || d.Labels[i].Values != nil && !slices.Contains(d.Labels[i].Values, l.GetValue()) {
					t.Errorf("%s{%s=%q} is not described", d.Name, l.GetName(), l.GetValue())
				}
			}
		}
	}
	for name := range described {
		if !seen[name] && name != "keepfresh_nearest_expiry_seconds" {
			t.Errorf("%s is described, and not there", name)
		}
	}
}

// Nobody looks at a key between the end of its life and a listing that finds it
// gone, if its loader fails; its expiry is counted nevertheless, and a deletion is not.
func TestExpiriesAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	registry := prometheus.NewRegistry()
	for _, key := range names("product:", 10) {
		w.set(key, "from the application", 2*time.Second)
	}
	w.backend.status(500)
	e := w.engine(Options{Registerer: registry})
	w.apply(e, w.plan(w.keyspace()))
	eventually(t, "10 keys are known", 5*time.Second, func() bool { return products(e).Keys == 10 })
	w.rdb.Del(t.Context(), "product:0", "product:1")
	eventually(t, "all are gone", 10*time.Second, func() bool { return products(e).Keys == 0 })
	if n := metric(t, registry, "keepfresh_expired_keys_total", ""); n != 8 {
		t.Errorf("%v expired, want 8", n)
	}
}
