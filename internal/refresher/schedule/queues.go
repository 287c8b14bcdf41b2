// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"math"
	"time"
)

// Tick is how exactly the time of a key is known: it may become ready later by so
// much than it was told to wait, far below the shortest jitter.
const Tick = 8 * time.Millisecond

// tick is the first one that is not before t.
func (s *Schedule) tick(t time.Time) int64 { return int64((t.Sub(s.epoch) + Tick - 1) / Tick) }

// passed is the last tick that is not after t.
func (s *Schedule) passed(t time.Time) int64 { return int64(t.Sub(s.epoch) / Tick) }

// time is when a tick comes.
func (s *Schedule) time(at int64) time.Time { return s.epoch.Add(time.Duration(at) * Tick) }

// Wait has a key wait until a time, out of the queue that it is in.
func (s *Schedule) Wait(id ID, until time.Time) {
	s.Dequeue(id)
	r := s.rec(id)
	r.place, r.at = waiting, s.waits.enter(id, s.tick(until))
}

// Until is when a key that waits will come, and false if it does not wait.
func (s *Schedule) Until(id ID) (time.Time, bool) {
	r := s.rec(id)
	if r.place != waiting {
		return time.Time{}, false
	}
	return s.time(s.waits.until(r.at)), true
}

// Queued says that a key is due, or that its time has come.
func (s *Schedule) Queued(id ID, now time.Time) bool {
	switch r := s.rec(id); r.place {
	case waiting:
		return s.waits.until(r.at) <= s.passed(now)
	case due, late:
		return true
	}
	return false
}

// TakeReady fills ids with keys that waited and whose time has come, the earliest
// first, and says how many there were. They are in no queue then.
func (s *Schedule) TakeReady(now time.Time, ids []ID) (n int) {
	for to := s.passed(now); n < len(ids); {
		if _, some := s.waits.advance(to); !some {
			break
		}
		n += s.take(&s.waits, waiting, ids[n:])
	}
	return n
}

// Next is the time at which the next key becomes ready, or an earlier one; it is now or
// earlier only if a key is ready. It is false if none waits.
func (s *Schedule) Next(now time.Time) (time.Time, bool) {
	for to := s.passed(now); ; {
		at, some := s.waits.advance(to)
		if !some || s.hasReady(&s.waits, waiting) {
			return s.time(at), s.waits.n > 0
		}
	}
}

// MakeDue puts a key among those that are due, out of the queue that it is in.
// They are in the order of their expiry, to a tick.
func (s *Schedule) MakeDue(id ID) {
	s.Dequeue(id)
	if s.Due() == 0 {
		s.dues.restart(s.waits.cursor)
		s.lates = nil
	}
	r := s.rec(id)
	if at := r.when() / Tick.Milliseconds(); at >= s.dues.cursor {
		r.place, r.at = due, s.dues.enter(id, at)
	} else {
		r.place = late
		s.late++
		s.lates.push(tardy{r.when(), id})
	}
}

// Pop fills ids with the keys that expire first among those that are due, and says
// how many there were. They are in no queue then.
func (s *Schedule) Pop(ids []ID) (n int) {
	for n < len(ids) && s.late > 0 {
		first := s.lates.pop()
		if s.isLate(first) {
			s.leave(s.rec(first.id))
			ids[n] = first.id
			n++
		}
	}
	for n < len(ids) {
		if _, some := s.dues.advance(math.MaxInt64); !some {
			break
		}
		n += s.take(&s.dues, due, ids[n:])
	}
	return n
}

// Due is the number of keys that are due.
func (s *Schedule) Due() int { return s.dues.n + s.late }

// Dequeue takes a key out of the queue that it is in.
func (s *Schedule) Dequeue(id ID) {
	if r := s.rec(id); r.place != unqueued {
		s.leave(r)
		s.tidy()
	}
}

// leave has a key be in no queue. What is noted of it there stays.
func (s *Schedule) leave(r *record) {
	switch r.place {
	case waiting:
		s.waits.n--
	case due:
		s.dues.n--
	case late:
		s.late--
	}
	r.place = unqueued
}

// take fills ids with keys from the cursor's slot. It reads their records in a
// loop of its own, to have the cache misses overlap.
func (s *Schedule) take(w *wheel, in place, ids []ID) (n int) {
	l, slot, at := w.levels[0], w.cursor&slotMask, uint32(w.cursor)
	some := 0
	for some < len(ids) && l.first[slot] != 0 {
		c := w.chunk(l.first[slot])
		for ; c.n > 0 && some < len(ids); c.n-- {
			ids[some] = c.entries[c.n-1].id
			some++
		}
		if c.n == 0 {
			w.drop(l, slot)
		}
	}
	w.noted -= some
	var read uint32
	for _, id := range ids[:some] {
		if id <= s.n {
			read |= s.rec(id).at
		}
	}
	s.read |= read
	for _, id := range ids[:some] {
		if s.holds(entry{at, id}, in) {
			s.rec(id).place = unqueued
			w.n--
			ids[n] = id
			n++
		}
	}
	return n
}

// hasReady says whether there is a key in the cursor's slot. It forgets entries that
// hold no more on the way to it.
func (s *Schedule) hasReady(w *wheel, in place) bool {
	l, slot := w.levels[0], w.cursor&slotMask
	for l.first[slot] != 0 {
		c := w.chunk(l.first[slot])
		for ; c.n > 0; c.n-- {
			if s.holds(c.entries[c.n-1], in) {
				return true
			}
			w.noted--
		}
		w.drop(l, slot)
	}
	return false
}

// holds says that an entry's key is where it was noted, and for the same tick. A
// key that came back to a tick is noted twice there: what it finds first is good,
// and the other one holds no more.
func (s *Schedule) holds(e entry, in place) bool {
	if e.id > s.n {
		return false
	}
	r := s.rec(e.id)
	return r.place == in && r.at == e.at
}

// tidy makes a new queue in place of a wasteful one. That takes a
// look at each record, and as many keys must have left before: constant time
// for each of them.
func (s *Schedule) tidy() {
	if w := &s.waits; w.isWasteful(int(s.n)) {
		w.restart(w.cursor)
		s.each(waiting, func(id ID, r *record) { w.enter(id, w.until(r.at)) })
	}
	if w := &s.dues; w.isWasteful(int(s.n)) {
		w.restart(w.cursor)
		s.each(due, func(id ID, r *record) { w.enter(id, w.until(r.at)) })
	}
	if len(s.lates)-s.late > int(s.n)/2+tolerated {
		s.lates = nil
		s.each(late, func(id ID, r *record) { s.lates.push(tardy{r.when(), id}) })
	}
}

// each calls f for the records of a queue.
func (s *Schedule) each(in place, f func(ID, *record)) {
	for id := ID(1); id <= s.n; id++ {
		if r := s.rec(id); r.place == in {
			f(id, r)
		}
	}
}
