// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"strings"
	"sync"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/wake"
)

const (
	// gather is for how long events gather before they are handed over: many
	// keys of a burst go into one pipeline, and an application that writes a key
	// and sets its lifetime with a second command has done so by then.
	gather = 50 * time.Millisecond

	// What is kept for a consumer that is slow, at most.
	maxQueued      = 1 << 16
	maxQueuedBytes = 16 << 20
)

// queue holds events until they are handed over: of each key the last, so that a
// key which is read a million times takes one place. It never makes anybody
// wait; what it has no room for is lost, and that is told.
type queue struct {
	wake wake.Signal

	mu     sync.Mutex
	events map[string]Kind
	bytes  int
	lost   bool
}

func newQueue() *queue {
	return &queue{wake: wake.NewSignal(), events: map[string]Kind{}}
}

func (q *queue) put(key string, kind Kind) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost {
		return // a listing will find it
	}
	was, known := q.events[key]
	if !known {
		key = strings.Clone(key) // a part of the message, which is larger
		q.bytes += len(key)
	}
	if len(q.events) >= maxQueued && !known || q.bytes > maxQueuedBytes {
		q.lost = true
		q.events, q.bytes = map[string]Kind{}, 0
	} else {
		q.events[key] = was.then(kind)
	}
	q.wake.Set()
}

// take empties the queue, and says whether events were lost since the last time.
func (q *queue) take() (events []Event, lost bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.events) > 0 {
		events = make([]Event, 0, len(q.events))
		for key, kind := range q.events {
			events = append(events, Event{key, kind})
		}
		q.events, q.bytes = map[string]Kind{}, 0
	}
	lost, q.lost = q.lost, false
	return events, lost
}
