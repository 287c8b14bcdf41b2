// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package rebuild

import (
	"sync"
	"time"
)

// Turns bound how many loads of several Rebuilders run at once: of those of one namespace.
// Rebuilders that find no turn free get theirs one after the other, so that none takes
// all. Nil Turns have no bound.
type Turns struct {
	mu      sync.Mutex
	free    int
	waiting []*pool
}

// NewTurns returns turns for so many loads at once; nil, which has no bound, for 0.
func NewTurns(loads int) *Turns {
	if loads <= 0 {
		return nil
	}
	return &Turns{free: loads}
}

// take takes a turn, if it is the pool's own or nobody waits. Else the pool is resumed
// when there is one for it.
func (t *Turns) take(p *pool, own bool) bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 && (own || len(t.waiting) == 0) {
		t.free--
		return true
	}
	if !p.inTurn {
		p.inTurn = true
		p.waited.Store(time.Now().UnixNano())
		t.waiting = append(t.waiting, p)
	}
	return false
}

// give gives a turn back, and lets those have it who wait.
func (t *Turns) give() {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.free++
	for t.free > 0 && len(t.waiting) > 0 {
		next := t.waiting[0]
		t.waiting[0] = nil
		t.waiting = t.waiting[1:]
		next.inTurn = false
		t.mu.Unlock()
		next.resume()
		t.mu.Lock()
	}
	t.mu.Unlock()
}
