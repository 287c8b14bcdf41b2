// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"math/bits"
	"time"
)

// wheel holds the keys that wait, in slots by the tick at which they come. A
// tick is a number of four digits to the base 256. A key hangs in the level of
// the highest digit in which its tick differs from the cursor, in the slot of
// that digit; when the cursor comes to the slot, its keys move to lower levels.
//
//	level 0: 256 slots of 8 ms     a key that comes within some 9 minutes
//	      1: 256 slots of 2 s      moves once, within 37 hours twice
//	      2: 256 slots of 9 min
//	      3: 256 slots of 37 h
//
// Source: G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels"
// (1987), scheme 7.
type wheel struct {
	cursor int64 // nothing waits for an earlier tick
	n      int
	levels [4]*level // made when needed: most keyspaces are small
}

type level struct {
	set   [4]uint64 // slots that are not empty
	slots [256]ID   // the first key of each
}

const (
	// Tick is how exactly it is known when a key comes: it may be later by so
	// much than it was told to wait, far below the shortest jitter.
	Tick = 8 * time.Millisecond
	// horizon is the most ticks that a key can wait: half a year. It comes
	// earlier then, which does no harm.
	horizon = 1<<31 - 1
)

// tick is the first one that is not before t.
func (s *Schedule) tick(t time.Time) int64 { return int64((t.Sub(s.epoch) + Tick - 1) / Tick) }

// time is when a tick comes.
func (s *Schedule) time(at int64) time.Time { return s.epoch.Add(time.Duration(at) * Tick) }

// at is the tick that a key waits for, of which the record holds half.
func (w *wheel) at(r *record) int64 { return w.cursor + int64(r.link-uint32(w.cursor)) }

// Wait has a key wait until a time, out of the queue that it is in.
func (s *Schedule) Wait(id ID, until time.Time) {
	s.Rest(id)
	w := &s.wheel
	at := min(max(s.tick(until), w.cursor), w.cursor+horizon)
	r := s.rec(id)
	r.link, r.place = uint32(at), waiting
	w.n++
	s.hang(id, r)
}

// Until is when a key that waits will come, and false if it does not wait.
func (s *Schedule) Until(id ID) (time.Time, bool) {
	r := s.rec(id)
	if r.place != waiting {
		return time.Time{}, false
	}
	return s.time(s.wheel.at(r)), true
}

// Come returns a key that waited and whose time has come, the earliest first,
// or 0 if there is none. The key rests.
func (s *Schedule) Come(now time.Time) ID {
	slot, _, come := s.advance(int64(now.Sub(s.epoch) / Tick))
	if !come {
		return 0
	}
	first := s.wheel.levels[0].slots[slot]
	s.unwait(first)
	return first
}

// Next is when a key may come next: not later than one does, and now or earlier
// only if one does. It is false if none waits.
func (s *Schedule) Next(now time.Time) (time.Time, bool) {
	_, at, _ := s.advance(int64(now.Sub(s.epoch) / Tick))
	return s.time(at), s.wheel.n > 0
}

// advance moves the cursor to a tick, or to the first one before it that a key
// waits for: then come is true, and slot is where it hangs. Else a key may come
// at at.
func (s *Schedule) advance(to int64) (slot int, at int64, come bool) {
	w := &s.wheel
	for {
		k, slot, at := w.next()
		if k < 0 || at > to {
			w.cursor = max(w.cursor, to)
			return 0, at, false
		}
		w.cursor = at
		if k == 0 {
			return slot, at, true
		}
		first := w.levels[k].slots[slot]
		w.empty(k, slot)
		for id := first; id != 0; {
			r := s.rec(id)
			next := r.next
			s.hang(id, r)
			id = next
		}
	}
}

// next finds the first slot that is not empty, and when the cursor comes to it.
// Without any, the level is negative.
func (w *wheel) next() (k, slot int, at int64) {
	if w.n == 0 {
		return -1, 0, 0
	}
	for k, level := range w.levels {
		if level == nil {
			continue
		}
		digit := int(w.cursor>>(8*k)) & 255
		from := digit
		if k > 0 {
			from++ // what was in the cursor's own slot hangs below
		}
		base := w.cursor >> (8 * (k + 1)) << (8 * (k + 1))
		if slot := level.first(from); slot >= 0 {
			return k, slot, base + int64(slot)<<(8*k)
		}
		if slot := level.first(0); k == 3 && slot >= 0 { // in the next turn
			return k, slot, base + int64(slot+256)<<(8*k)
		}
	}
	return -1, 0, 0
}

// first is the first slot from one on that is not empty, or -1.
func (l *level) first(from int) int {
	for word := from >> 6; word < len(l.set); word++ {
		set := l.set[word]
		if word == from>>6 {
			set &= ^uint64(0) << (from & 63)
		}
		if set != 0 {
			return word<<6 + bits.TrailingZeros64(set)
		}
	}
	return -1
}

// place is where a key hangs: it differs from the cursor in no higher digit.
func (w *wheel) place(link uint32) (k, slot int) {
	k = max(0, bits.Len32(link^uint32(w.cursor))-1) / 8
	return k, int(link>>(8*k)) & 255
}

// hang puts a key into the slot of its tick.
func (s *Schedule) hang(id ID, r *record) {
	w := &s.wheel
	k, slot := w.place(r.link)
	l := w.levels[k]
	if l == nil {
		l = new(level)
		w.levels[k] = l
	}
	r.prev, r.next = 0, l.slots[slot]
	if r.next != 0 {
		s.rec(r.next).prev = id
	} else {
		l.set[slot>>6] |= 1 << (slot & 63)
	}
	l.slots[slot] = id
}

// unwait takes a key out of its slot.
func (s *Schedule) unwait(id ID) {
	w, r := &s.wheel, s.rec(id)
	if r.next != 0 {
		s.rec(r.next).prev = r.prev
	}
	if r.prev != 0 {
		s.rec(r.prev).next = r.next
	} else if k, slot := w.place(r.link); r.next != 0 {
		w.levels[k].slots[slot] = r.next
	} else {
		w.empty(k, slot)
	}
	r.next, r.prev, r.link, r.place = 0, 0, 0, resting
	w.n--
}

func (w *wheel) empty(k, slot int) {
	w.levels[k].slots[slot] = 0
	w.levels[k].set[slot>>6] &^= 1 << (slot & 63)
}

// moved notes that the first key of a slot has another number.
func (w *wheel) moved(link uint32, to ID) {
	k, slot := w.place(link)
	w.levels[k].slots[slot] = to
}
