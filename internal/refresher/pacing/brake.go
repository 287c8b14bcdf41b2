// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package pacing

import (
	"sync"
	"time"
)

const (
	// brakeWindow is how many of the last answers count.
	brakeWindow = 100
	// minNotFound is how many of them have to say "not found" before that is many.
	minNotFound = 10
	// brakeEndShare is the part of the limit below which the brake lets go: 1/3.
	brakeEndShare = 3
)

// DeletionBrake keeps a storm of "not found", as of a router that has lost its backend,
// from emptying a keyspace: while many answers say it, nothing may be deleted. Only
// answers for keys that hold values count. It is safe for concurrent use: each answer is
// counted before it may delete, so that the bound holds however many loads run at once.
// Set its limit with LimitTo.
type DeletionBrake struct {
	mu       sync.Mutex
	limit    int // percent; 100 turns it off
	answers  [brakeWindow]bool
	next     int // the place of the next answer
	n        int // answers in the window
	notFound int // those of them that said so
	on       bool
	last     time.Time // of the last answer
}

// LimitTo sets how many percent of the answers may say "not found"; 100 is no limit.
func (b *DeletionBrake) LimitTo(percent int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = percent
	b.update()
}

// Answered counts an answer.
func (b *DeletionBrake) Answered(notFound bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.answers[b.next] { // the oldest of a full window
		b.notFound--
	}
	b.answers[b.next] = notFound
	if notFound {
		b.notFound++
	}
	b.next = (b.next + 1) % brakeWindow
	b.n = min(b.n+1, brakeWindow)
	b.last = now
	b.update()
}

func (b *DeletionBrake) update() {
	b.on = b.limit < 100 &&
		(b.notFound >= minNotFound && 100*b.notFound > b.limit*b.n || b.on && 100*brakeEndShare*b.notFound >= b.limit*b.n)
}

// On says that nothing may be deleted.
func (b *DeletionBrake) On() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.on
}

// Counts are how many of how many answers said "not found".
func (b *DeletionBrake) Counts() (notFound, of int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.notFound, b.n
}

// Expire forgets the answers if none came for a whole lifetime of a key: no key holds a
// value any more, so there is nothing to protect, and nothing that could end the storm.
func (b *DeletionBrake) Expire(lifetime time.Duration, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n > 0 && now.Sub(b.last) > lifetime {
		b.answers, b.next, b.n, b.notFound, b.on = [brakeWindow]bool{}, 0, 0, 0, false
	}
}
