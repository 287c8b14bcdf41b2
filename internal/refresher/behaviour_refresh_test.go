// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

func refreshed(e *Engine) string {
	snap, _ := e.Snapshot(catalog)
	return snap.Refreshed
}

func (w *world) refresh(e *Engine, p Plan, token string) {
	w.t.Helper()
	p.Refresh = token
	w.apply(e, p)
}

func TestOnDemandEveryKeyIsRefreshedOnceThoughItIsFresh(t *testing.T) {
	t.Parallel()
	const keys = 30
	w := newWorld(t, 30*time.Millisecond)
	for _, key := range names("product:", keys) {
		w.set(key, "from the application", time.Minute)
	}
	e := w.engine(Options{})
	plan := w.plan(w.keyspace(long), w.keyspace(long, func(k *Keyspace) {
		k.Name, k.Key, k.Keys, web(k).URL = "kept", "kept:{id}", names("kept:", keys), w.backend.URL+"/kept/{id}"
	}))
	// The first token comes before the first listing: it waits for it.
	w.refresh(e, plan, "first")
	if refreshed(e) != "" {
		t.Error("it is called done before Redis was listed")
	}
	for i, token := range []string{"first", "second", "third"} {
		w.refresh(e, plan, token)
		w.refresh(e, plan, token) // again means nothing new
		eventually(t, token+" is done", 20*time.Second, func() bool {
			done := refreshed(e) == token
			if tried := w.tried(i + 1); done && tried < 2*keys {
				t.Fatalf("%s is called done with %d of %d keys", token, tried, 2*keys)
			}
			return done
		})
	}
	time.Sleep(300 * time.Millisecond)
	if n := w.backend.total(); n < 3*2*keys || n > 3*2*keys+keys { // the fill of a kept key may come first
		t.Errorf("%d loads for three refreshes of %d keys", n, 2*keys)
	}
	for _, key := range names("product:", keys) {
		if got, want := w.get(key), key[len("product:"):]+" load 3"; got != want {
			t.Errorf("%s holds %q, want %q", key, got, want)
		}
	}
	w.refresh(e, plan, "") // asks for nothing
	if refreshed(e) != "" {
		t.Error("nothing was asked for, and that was done")
	}
}

// tried is how many keys were loaded so often.
func (w *world) tried(times int) (keys int) {
	w.backend.mu.Lock()
	defer w.backend.mu.Unlock()
	for _, n := range w.backend.loads {
		if n >= times {
			keys++
		}
	}
	return keys
}

func TestOnDemandItIsDoneThoughTheLoaderFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	for _, key := range names("product:", 8) {
		w.set(key, "from the application", 30*time.Second)
	}
	w.backend.status(500)
	e := w.engine(Options{})
	plan := w.plan(w.keyspace(func(k *Keyspace) { k.Expire, k.DueAfter = 30*time.Second, 29*time.Second }))
	w.refresh(e, plan, "failing")
	eventually(t, "it is done", 20*time.Second, func() bool { return refreshed(e) == "failing" })
	if n := w.tried(1); n != 8 {
		t.Errorf("%d of 8 keys were tried", n)
	}
	if got := w.get("product:1"); got != "from the application" {
		t.Errorf("product:1 holds %q", got)
	}
	w.backend.answer(nil)
	w.refresh(e, plan, "working")
	eventually(t, "a second one is done too", 20*time.Second, func() bool { return refreshed(e) == "working" })
	for _, key := range names("product:", 8) {
		if got := w.get(key); got == "from the application" {
			t.Errorf("%s was not refreshed", key)
		}
	}
}

func TestOnDemandOnlyTheKeyspacesThatAreMeantAreRefreshed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 30*time.Millisecond)
	for _, name := range []string{"product", "page"} {
		for _, key := range names(name+":", 10) {
			w.set(key, "from the application", time.Minute)
		}
	}
	e := w.engine(Options{})
	plan := w.plan(w.keyspace(long), w.keyspace(long, func(k *Keyspace) {
		k.Name, k.Key, web(k).URL = "pages", "page:{id}", w.backend.URL+"/pages/{id}"
	}))
	plan.RefreshOnly = []string{"pages", "nosuch"}
	w.refresh(e, plan, "pages only")
	eventually(t, "it is done", 20*time.Second, func() bool { return refreshed(e) == "pages only" })
	for _, key := range names("page:", 10) {
		if got := w.get(key); got == "from the application" {
			t.Errorf("%s was not refreshed", key)
		}
	}
	if n := w.backend.total(); n != 10 {
		t.Errorf("%d loads for 10 keys", n)
	}

	plan.RefreshOnly = []string{"nosuch"}
	w.refresh(e, plan, "nothing")
	eventually(t, "what is about no key is done", 10*time.Second, func() bool { return refreshed(e) == "nothing" })

	plan.RefreshOnly = nil
	w.refresh(e, plan, "all")
	eventually(t, "the next is about all again", 20*time.Second, func() bool { return refreshed(e) == "all" })
	if n := w.backend.total(); n != 30 {
		t.Errorf("%d loads for 10 keys, and then for 20", n)
	}
}

func TestOnDemandOfNothingItIsDoneAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	e := w.engine(Options{})
	w.refresh(e, w.plan(w.keyspace()), "none")
	eventually(t, "it is done", 10*time.Second, func() bool { return refreshed(e) == "none" })
}

// A second request may come while the first is being worked on. A load that
// began before it may bring what is older than it, and does not count.
func TestOnDemandALoadFromBeforeTheRequestDoesNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	var content atomic.Value
	content.Store("old")
	hold := make(chan struct{})
	w.backend.answer(func(rw http.ResponseWriter, r *http.Request) {
		answer := content.Load()
		<-hold
		_, _ = fmt.Fprint(rw, answer)
	})
	keys := names("product:", 4)
	for _, key := range keys {
		w.set(key, "from the application", time.Minute)
	}
	e := w.engine(Options{})
	plan := w.plan(w.keyspace(long, func(k *Keyspace) { k.GuardTimeout, web(k).Timeout = 20*time.Second, 20*time.Second }))
	w.refresh(e, plan, "first")
	eventually(t, "loads run", 10*time.Second, func() bool { return w.backend.total() == 4 })
	content.Store("new")
	w.refresh(e, plan, "second")
	close(hold)
	eventually(t, "the second is done", 20*time.Second, func() bool { return refreshed(e) == "second" })
	for _, key := range keys {
		if got := w.get(key); got != "new" {
			t.Errorf("%s holds %q though all were refreshed since", key, got)
		}
	}
}

// What the application writes after a request is newer than it: such a key is
// done, and is not loaded until the application happens to rest.
func TestOnDemandAKeyThatTheApplicationWritesIsDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 50*time.Millisecond)
	w.set("product:1", "from the application", time.Minute)
	e := w.engine(Options{})
	plan := w.plan(w.keyspace(long))
	w.apply(e, plan)
	eventually(t, "it is known", 5*time.Second, func() bool { return products(e).Keys == 1 })
	w.refresh(e, plan, "busy")
	for i := 0; refreshed(e) != "busy"; i++ {
		if i > 1000 {
			t.Fatal("it is never done")
		}
		w.set("product:1", "from the application", time.Minute+time.Duration(i)*time.Millisecond)
		time.Sleep(5 * time.Millisecond)
	}
	if n := w.backend.total(); n > 3 {
		t.Errorf("%d loads for one refresh of one key", n)
	}
}
