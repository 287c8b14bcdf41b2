// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"sync"
	"time"
)

const (
	// brakeWindow is how many of the last answers count.
	brakeWindow = 100
	// minNotFound of them have to say "not found" before that is many.
	minNotFound = 10
	// brakeEnds is the part of the limit below which it is not many any more.
	brakeEnds = 3
)

// brake keeps a storm of "not found", as of a router that has lost its backend, from
// emptying a keyspace: while many answers say it, nothing is deleted. Only answers for
// keys that hold values count. It is safe for concurrent use: each answer is counted
// before it may delete, so that the bound holds however many loads run at once.
type brake struct {
	mu       sync.Mutex
	limit    int // percent; 100 turns it off
	answers  [brakeWindow]bool
	next     int // the place of the next one
	n        int
	notFound int // of n
	on       bool
	last     time.Time // the last answer
}

// limitTo sets how many percent of the answers may say "not found".
func (b *brake) limitTo(percent int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = percent
	b.judge()
}

// answered counts an answer.
func (b *brake) answered(notFound bool, now time.Time) {
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
	b.judge()
}

func (b *brake) judge() {
	b.on = b.limit < 100 &&
		(b.notFound >= minNotFound && 100*b.notFound > b.limit*b.n || b.on && 100*brakeEnds*b.notFound >= b.limit*b.n)
}

// holds says that nothing may be deleted.
func (b *brake) holds() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.on
}

// counts are how many of how many answers said "not found".
func (b *brake) counts() (notFound, of int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.notFound, b.n
}

// expire forgets answers if there was none for a whole lifetime: no key holds a value
// any more, so that there is nothing to protect, and nothing that could end the storm.
func (b *brake) expire(lifetime time.Duration, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n > 0 && now.Sub(b.last) > lifetime {
		b.answers, b.next, b.n, b.notFound, b.on = [brakeWindow]bool{}, 0, 0, 0, false
	}
}
