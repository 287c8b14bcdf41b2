// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import "sync"

// slots bounds how many loads of a lane run at once. What finds no slot waits
// in turn. The zero slots have none: limit gives them.
type slots struct {
	mu    sync.Mutex
	free  int
	limit int
	queue []func()
}

// resize sets how many slots there are. Those in use stay so until they are
// given back.
func (s *slots) resize(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += limit - s.limit
	s.limit = limit
	for s.free > 0 && len(s.queue) > 0 {
		s.free--
		go s.work(s.pop())
	}
}

// run calls f, in a goroutine, as soon as there is a slot for it.
func (s *slots) run(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		go s.work(f)
	} else {
		s.queue = append(s.queue, f)
	}
}

// work calls one function after the other, until none waits or its slot is
// taken away.
func (s *slots) work(f func()) {
	for f != nil {
		f()
		f = s.next()
	}
}

func (s *slots) next() func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free >= 0 && len(s.queue) > 0 {
		return s.pop()
	}
	s.free++
	return nil
}

func (s *slots) pop() func() {
	f := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	return f
}
