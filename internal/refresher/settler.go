// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"sync"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
)

const (
	// maxBytes bounds the values of one script, unless one alone is larger.
	maxBytes = 1 << 20
	// maxSettling is how many scripts are on their way at once.
	maxSettling = 8
)

// settler ends rebuilds on one Redis, in scripts of as many as end at about the
// same time. One that ends alone goes at once; while it is on its way, others
// gather, so that a script grows with the load and costs nobody time.
type settler struct {
	guard *guard.Guard

	mu      sync.Mutex
	queue   []settlement
	room    []settlement // the queue's, to begin anew when it is empty
	running int
}

// settlement is the end of a rebuild.
type settlement struct {
	guard.Settlement
	by     *rebuilder
	result result
	wanted outcome // of a write; empty if the result stands
}

func (s *settler) add(ends ...settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue = append(s.queue, ends...); cap(s.queue) > cap(s.room) {
		s.room = s.queue[:0]
	}
	if s.running == 0 || s.running < maxSettling && len(s.queue) >= guard.MaxSettle {
		s.running++
		go s.run()
	}
}

func (s *settler) run() {
	for ends := s.next(nil); len(ends) > 0; ends = s.next(ends[:0]) {
		s.settle(ends)
	}
}

// next appends to ends what goes into one script; nothing ends a run.
func (s *settler) next(ends []settlement) []settlement {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, bytes := 0, 0
	for n < min(len(s.queue), guard.MaxSettle) {
		if bytes += len(s.queue[n].Value); n > 0 && bytes > maxBytes {
			break
		}
		n++
	}
	if n == 0 {
		s.running--
	}
	ends = append(ends, s.queue[:n]...)
	clear(s.queue[:n])
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = s.room[:0]
	}
	return ends
}

func (s *settler) settle(ends []settlement) {
	all := make([]guard.Settlement, len(ends))
	for i, e := range ends {
		all[i] = e.Settlement
	}
	results := make(map[*lane][]result, 1)
	for i, did := range s.guard.Settle(context.Background(), all) {
		r := ends[i].by
		if results[r.lane] == nil {
			results[r.lane] = make([]result, 0, len(ends)-i)
		}
		results[r.lane] = append(results[r.lane], r.settled(ends[i], did))
	}
	for l, some := range results {
		ends[0].by.srv.users.Add(-len(some)) // the only server that this settles for
		l.ended(some)
	}
}
