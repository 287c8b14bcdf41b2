// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import "sync"

// turn lets one call at a time change a policy. Changes of other policies, and whoever
// only looks, do not wait for it.
type turn struct {
	mu    sync.Mutex
	calls int // that have it or wait for it
}

// turn waits until nobody else changes a policy, and returns how it stands then: nil
// if the engine does not have it. done ends the turn. A closed engine gives none.
func (e *Engine) turn(id ID) (now *policy, done func(), err error) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, nil, ErrClosed
	}
	t := e.turns[id]
	if t == nil {
		t = &turn{}
		e.turns[id] = t
	}
	t.calls++
	e.changing.Add(1)
	e.mu.Unlock()

	t.mu.Lock()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.policies[id], func() {
		t.mu.Unlock()
		e.mu.Lock()
		defer e.mu.Unlock()
		if t.calls--; t.calls == 0 {
			delete(e.turns, id)
		}
		e.changing.Done()
	}, nil
}
