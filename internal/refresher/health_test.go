// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A worker hangs while its policy is changed: that harms nobody else. (That it says so is
// tested with the worker.)
func TestAWorkerThatIsStuckHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	stuck, hangs := make(chan struct{}), atomic.Bool{}
	free := sync.OnceFunc(func() { close(stuck) })
	t.Cleanup(free)
	hanging := make(chan struct{}, 1)
	e := w.engine(Options{OnChange: func(id ID) {
		if id == catalog && hangs.Load() {
			select {
			case hanging <- struct{}{}:
			default:
			}
			<-stuck
		}
	}})
	w.apply(e, w.plan(w.keyspace(long)))
	eventually(t, "it is listed", 10*time.Second, func() bool { return products(e).Listed })
	hangs.Store(true)
	changed := make(chan error, 1)
	go func() { // a refresh of no key is done at once, and that is told
		plan := w.plan(w.keyspace(long))
		plan.Refresh = "now"
		changed <- e.Apply(catalog, plan)
	}()
	<-hanging

	within := func(what string, f func()) {
		t.Helper()
		ended := make(chan struct{})
		go func() { f(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s hangs with the worker", what)
		}
	}
	within("Healthy", func() { _ = e.Healthy() })
	within("Snapshot", func() { e.Snapshot(catalog) })
	within("Explain", func() {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if x, ok := e.Explain(ctx, catalog, "product:1"); !ok || !x.Silent || x.Tracked {
			t.Errorf("of a key of the worker it says %+v", x)
		}
	})
	other := ID{"shop", "other"}
	within("another policy's change", func() {
		k := w.keyspace(long, func(k *Keyspace) { k.Key = "other:{id}" })
		if err := e.Apply(other, w.plan(k)); err != nil {
			t.Error(err)
		}
		e.Remove(other)
	})
	select {
	case err := <-changed:
		t.Errorf("the change has ended, though its worker has not heard of it: %v", err)
	default:
	}
	free()
	if err := <-changed; err != nil {
		t.Error(err)
	}
}
