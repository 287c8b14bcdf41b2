// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// Limits bound what the policies of one namespace may have an engine do and hold, so that
// one tenant's flood leaves another's freshness alone. Zero is no limit.
type Limits struct {
	Keys      int64 // that are kept fresh
	Loads     int   // calls to loaders at once, and with them their connections
	BodyBytes int64 // of answers larger than 64 KiB, at once
}

// tenants are the namespaces that have lanes.
type tenants struct {
	limits Limits

	mu sync.Mutex
	of map[string]*tenant
}

// tenant is what the lanes of a namespace share.
type tenant struct {
	lanes  int // of tenants.mu
	limits Limits
	keys   atomic.Int64
	turns  *turns
	room   *loader.Room
}

// hold is the tenant of a namespace, for one more lane.
func (ts *tenants) hold(namespace string) *tenant {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.of[namespace]
	if t == nil {
		t = &tenant{limits: ts.limits, room: loader.NewRoom(ts.limits.BodyBytes)}
		if ts.limits.Loads > 0 {
			t.turns = &turns{free: ts.limits.Loads}
		}
		if ts.of == nil {
			ts.of = map[string]*tenant{}
		}
		ts.of[namespace] = t
	}
	t.lanes++
	return t
}

// release ends a lane's hold.
func (ts *tenants) release(namespace string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.of[namespace]; t != nil {
		if t.lanes--; t.lanes == 0 {
			delete(ts.of, namespace)
		}
	}
}

// admit counts a key, if there is room for one more.
func (t *tenant) admit() bool {
	if n := t.keys.Add(1); t.limits.Keys > 0 && n > t.limits.Keys {
		t.keys.Add(-1)
		return false
	}
	return true
}

// turns bound how many loads of all lanes of a namespace run at once. Lanes that find none
// free get theirs one after the other, so that none takes all. Nil turns are without end.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting []*slots
}

// take takes a turn, if it is the lane's or nobody waits. Else s is resumed when it is.
func (t *turns) take(s *slots, its bool) bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 && (its || len(t.waiting) == 0) {
		t.free--
		return true
	}
	if !s.waits {
		s.waits = true
		s.waited.Store(time.Now().UnixNano())
		t.waiting = append(t.waiting, s)
	}
	return false
}

// give gives a turn back, and lets those have it who wait.
func (t *turns) give() {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.free++
	for t.free > 0 && len(t.waiting) > 0 {
		next := t.waiting[0]
		t.waiting[0] = nil
		t.waiting = t.waiting[1:]
		next.waits = false
		t.mu.Unlock()
		next.resume()
		t.mu.Lock()
	}
	t.mu.Unlock()
}
