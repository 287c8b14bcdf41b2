// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/egress"
)

// One namespace floods: 200 keyspaces whose loader hangs, thousands of keys, answers of a
// megabyte. Another's keys stay fresh, and so do those of the flooding one, as far as its
// limits reach.
func TestAFloodOfOneNamespaceLeavesAnotherFresh(t *testing.T) {
	t.Parallel()
	const keyspaces, limit = 200, 50
	w := newWorld(t, 0)
	hanging := newBackend(t, time.Hour)
	e := w.engine(Options{Limits: Limits{Keys: 1000, Loads: limit}})
	flood := w.plan()
	for i := range keyspaces {
		k := w.keyspace()
		k.Name, k.Key, web(&k).URL = fmt.Sprintf("ks%d", i), fmt.Sprintf("flood%d:{id}", i), hanging.URL+"/{id}"
		k.Keys = names(fmt.Sprintf("flood%d:", i), 6)
		k.Expire, k.DueAfter, k.GuardTimeout, web(&k).Timeout = 10*time.Second, 5*time.Second, 4*time.Second, time.Second
		flood.Keyspaces = append(flood.Keyspaces, k)
	}
	put(t, e, ID{"flooding", "p"}, flood)
	put(t, e, ID{"healthy", "p"}, w.plan(w.keyspace(func(k *Keyspace) {
		k.Keys, k.Expire, k.DueAfter, k.GuardTimeout = names("product:", 50), 4*time.Second, 2*time.Second, time.Second
	})))
	eventually(t, "the healthy policy is fresh", 20*time.Second, func() bool {
		s, _ := e.Snapshot(ID{"healthy", "p"})
		return s.Keyspaces[0].Converged && s.Keyspaces[0].Fresh == 50
	})
	for range 30 {
		time.Sleep(100 * time.Millisecond)
		if s, _ := e.Snapshot(ID{"healthy", "p"}); TooLate(s.Keyspaces[0].Late, s.Keyspaces[0].Keys) || s.Keyspaces[0].Queues || s.Keyspaces[0].Untracked > 0 {
			t.Fatalf("the flood of another namespace is felt: %+v", s.Keyspaces[0])
		}
	}
	if peak := hanging.peak(); peak > 2*limit { // the backend learns late of a call that was given up
		t.Errorf("%d loads of one namespace at once; %d are allowed", peak, limit)
	}
	s, _ := e.Snapshot(ID{"flooding", "p"})
	var keys, untracked int64
	queues := false
	for _, k := range s.Keyspaces {
		keys, untracked, queues = keys+k.Keys, untracked+k.Untracked, queues || k.Queues
	}
	if keys != 1000 || untracked != 200 || !queues {
		t.Errorf("%d keys, %d beyond the limit of 1000; loads wait: %t", keys, untracked, queues)
	}
	e.Remove(ID{"flooding", "p"})
	eventually(t, "nothing of the tenant is left", 20*time.Second, func() bool {
		e.tenants.mu.Lock()
		defer e.tenants.mu.Unlock()
		return len(e.tenants.of) == 1
	})
}

// Keys for which there was no room are taken in when there is.
func TestRoomThatBecomesFreeIsUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	e := w.engine(Options{Limits: Limits{Keys: 10}})
	template := func(key string) func(*Keyspace) { return func(k *Keyspace) { k.Key, k.Keys = key, nil } }
	for _, key := range append(names("a:", 10), names("b:", 5)...) {
		w.set(key, "value", time.Minute)
	}
	put(t, e, ID{"shop", "a"}, w.plan(w.keyspace(template("a:{id}"))))
	of := func(name string) KeyspaceSnapshot {
		s, found := e.Snapshot(ID{"shop", name})
		if !found || len(s.Keyspaces) == 0 {
			return KeyspaceSnapshot{}
		}
		return s.Keyspaces[0]
	}
	eventually(t, "a has all of its keys", 20*time.Second, func() bool { return of("a").Keys == 10 && of("a").Listed })
	put(t, e, ID{"shop", "b"}, w.plan(w.keyspace(template("b:{id}"), func(k *Keyspace) { k.Expire, k.DueAfter = 4*time.Second, 2*time.Second })))
	eventually(t, "b has none, and says so", 20*time.Second, func() bool { k := of("b"); return k.Listed && k.Keys == 0 && k.Untracked == 5 })
	e.Remove(ID{"shop", "a"})
	eventually(t, "b has all of its keys", 20*time.Second, func() bool { k := of("b"); return k.Keys == 5 && k.Untracked == 0 })
}

func TestLargeBodiesWaitForRoom(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	w := newWorld(t, 0)
	var sending, most atomic.Int64
	w.backend.answer(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, strings.Repeat("x", 100<<10)) // more than is read without room
		rw.(http.Flusher).Flush()
		time.Sleep(50 * time.Millisecond) // those that found no room do not read on
		most.Store(max(most.Load(), sending.Add(1)))
		_, _ = io.WriteString(rw, strings.Repeat("x", size-100<<10))
		sending.Add(-1)
	})
	e := w.engine(Options{Limits: Limits{BodyBytes: 2*size + 2}})
	put(t, e, ID{"shop", "p"}, w.plan(w.keyspace(func(k *Keyspace) {
		k.Key, k.Keys, k.MaxConcurrent, web(k).MaxBodyBytes = "large:{id}", names("large:", 20), 20, size
		k.Expire, k.DueAfter, k.GuardTimeout, web(k).Timeout = time.Minute, 30*time.Second, 20*time.Second, 10*time.Second
	})))
	eventually(t, "all are loaded", 20*time.Second, func() bool {
		s, _ := e.Snapshot(ID{"shop", "p"})
		return s.Keyspaces[0].Fresh == 20
	})
}

// Where policies are tied to their namespace, one of another namespace must not gain the
// connection that a policy has which may be made.
func TestAConnectionIsSharedOnlyByThoseWhoMayMakeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	for _, tied := range []bool{false, true} {
		rules, err := egress.New(egress.Config{OwnServices: tied, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
		if err != nil {
			t.Fatal(err)
		}
		e := w.engine(Options{Egress: rules})
		for _, id := range []ID{{"a", "p"}, {"a", "q"}, {"b", "p"}} {
			put(t, e, id, w.plan(w.keyspace(func(k *Keyspace) { k.Key = id.Namespace + id.Name + ":{id}" })))
		}
		e.mu.Lock()
		servers := len(e.stores)
		e.mu.Unlock()
		if want := map[bool]int{false: 1, true: 2}[tied]; servers != want {
			t.Errorf("tied to namespaces: %t: %d connections; want %d", tied, servers, want)
		}
	}
}
