// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// A lane hangs while its policy is changed: that is named, and harms nobody else.
func TestALaneThatIsStuckIsNamedByHealthy(t *testing.T) {
	w := newWorld(t, 0)
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(long)))
	eventually(t, "it is listed", 10*time.Second, func() bool { return products(e).Listed })
	l := e.policies[catalog].lanes["products"]
	stuck := make(chan struct{})
	free := sync.OnceFunc(func() { close(stuck) })
	t.Cleanup(free)
	l.do(func() {
		silent := *l.view.Load()
		silent.at = time.Now().Add(-2 * stuckAfter)
		l.view.Store(&silent)
		<-stuck
	})
	changed := make(chan error, 1)
	go func() {
		changed <- e.Apply(catalog, w.plan(w.keyspace(long, func(k *Keyspace) { k.MaxConcurrent++ })))
	}()
	eventually(t, "the change has begun", 10*time.Second, func() bool {
		return len(l.inbox) > 0
	})

	within := func(what string, f func()) {
		t.Helper()
		ended := make(chan struct{})
		go func() { f(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s hangs with the lane", what)
		}
	}
	within("Healthy", func() {
		if err := e.Healthy(); err == nil || !strings.Contains(err.Error(), `keyspace "products" of policy shop/catalog has been stuck`) {
			t.Errorf("it says %v", err)
		}
	})
	within("Snapshot", func() { e.Snapshot(catalog) })
	within("Explain", func() {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if x, ok := e.Explain(ctx, catalog, "product:1"); !ok || !x.Silent || x.Tracked {
			t.Errorf("of a key of the lane it says %+v", x)
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
		t.Errorf("the change has ended, though its lane has not heard of it: %v", err)
	default:
	}
	free()
	if err := <-changed; err != nil {
		t.Error(err)
	}
}
