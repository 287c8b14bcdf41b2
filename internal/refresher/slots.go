// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// slots bounds how many loads of a lane run at once. What finds no slot waits
// in turn. The zero slots have none: resize gives them.
//
// A goroutine that has served a load stays for the next one: a new one would
// first have to grow its stack.
type slots struct {
	turns  *turns       // of the namespace
	waits  bool         // for a turn; turns.mu guards it
	waited atomic.Int64 // when it last began to; Unix nanoseconds

	mu     sync.Mutex
	free   int
	limit  int
	queue  []func()
	rest   []chan func() // goroutines that wait for work, the last to come first
	closed bool
}

// lounge is how long a goroutine waits for work.
const lounge = time.Second

// resize sets how many slots there are. Those in use stay so until they are
// given back.
func (s *slots) resize(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += limit - s.limit
	s.limit = limit
	s.start(false)
}

// run calls f, in a goroutine, as soon as there is a slot for it.
func (s *slots) run(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, f)
	s.start(false)
}

// resume begins one load, for which it is this lane's turn: more have to wait for theirs
// if others do.
func (s *slots) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start(true)
}

// start begins what there are slots and turns for. first says that the first turn is this
// lane's, whoever else waits.
func (s *slots) start(first bool) {
	for ; s.free > 0 && len(s.queue) > 0 && s.turns.take(s, first); first = false {
		s.free--
		f := s.pop()
		if last := len(s.rest) - 1; last >= 0 {
			s.rest[last] <- f
			s.rest = s.rest[:last]
		} else {
			go s.work(f)
		}
	}
}

// work calls one function after the other, until none has come for a while.
func (s *slots) work(f func()) {
	more := make(chan func(), 1)
	patience := time.NewTimer(lounge)
	defer patience.Stop()
	for {
		f()
		s.turns.give()
		f = s.next(more)
		if f == nil {
			patience.Reset(lounge)
			select {
			case f = <-more:
			case <-patience.C:
				s.dismiss(more)
				f = <-more
			}
		}
		if f == nil {
			return
		}
	}
}

// next is more work. If there is none, or no slot for it, it will come by more:
// nil to go home.
func (s *slots) next(more chan func()) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free >= 0 && len(s.queue) > 0 && s.turns.take(s, false) {
		return s.pop()
	}
	s.free++
	if s.closed {
		more <- nil
	} else {
		s.rest = append(s.rest, more)
	}
	return nil
}

// dismiss sends a goroutine home, unless work is on its way to it.
func (s *slots) dismiss(more chan func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.rest, more); i >= 0 {
		s.rest = slices.Delete(s.rest, i, i+1)
		more <- nil
	}
}

// close sends all home who wait for work. None will come.
func (s *slots) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, more := range s.rest {
		more <- nil
	}
	s.rest = nil
}

func (s *slots) pop() func() {
	f := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	return f
}
