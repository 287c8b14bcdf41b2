// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"math"
	"math/bits"
	"time"
)

// wheel holds keys in slots by a tick: those that wait by when they come, those
// that are due by when they expire. A tick is a number of four digits to the base 256. A key hangs in the level of
// the highest digit in which its tick differs from the cursor, in the slot of
// that digit; when the cursor comes to the slot, its keys move to lower levels.
//
//	level 0: 256 slots of 8 ms     a key of the next 9 minutes or so
//	      1: 256 slots of 2 s      moves once, within 37 hours twice
//	      2: 256 slots of 9 min
//	      3: 256 slots of 37 h
//
// Source: G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels"
// (1987), scheme 7.
//
// Each key of a slot is linked to the next, so that to go through them takes a
// cache miss after the other. A wheel of many keys parts each slot into ways, by
// the keys' numbers: the misses of different ways overlap.
type wheel struct {
	cursor int64 // nothing hangs at an earlier tick
	n      int
	levels [4]*level // made when needed: most keyspaces are small
	wide   bool      // its slots have more ways than one
}

type level struct {
	set  [4]uint64 // slots that are not empty
	ways []ID      // the first key of each way of each slot
}

const (
	maxWays = 8
	// wideFrom is how many keys make a wheel wide.
	wideFrom = 4096
)

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

// at is the tick of a key, of which the record holds half.
func (w *wheel) at(r *record) int64 { return w.cursor + int64(r.link-uint32(w.cursor)) }

// Wait has a key wait until a time, out of the queue that it is in.
func (s *Schedule) Wait(id ID, until time.Time) {
	s.Rest(id)
	s.rec(id).place = waiting
	s.enter(&s.waits, id, s.tick(until))
}

// Until is when a key that waits will come, and false if it does not wait.
func (s *Schedule) Until(id ID) (time.Time, bool) {
	r := s.rec(id)
	if r.place != waiting {
		return time.Time{}, false
	}
	return s.time(s.waits.at(r)), true
}

// Queued says that a key is due, or that its time has come.
func (s *Schedule) Queued(id ID, now time.Time) bool {
	switch r := s.rec(id); r.place {
	case waiting:
		return s.waits.at(r) <= int64(now.Sub(s.epoch)/Tick)
	case due, late:
		return true
	}
	return false
}

// Come fills ids with keys that waited and whose time has come, the earliest
// first, and says how many there were. They rest. It takes a key from each way of
// a slot at a time, to have their misses overlap.
func (s *Schedule) Come(now time.Time, ids []ID) (n int) {
	w := &s.waits
	for n < len(ids) {
		if id, _ := s.advance(w, int64(now.Sub(s.epoch)/Tick)); id == 0 {
			break
		}
		heads := w.heads(0, int(w.cursor&255))
		for _, id := range heads {
			s.read |= s.rec(id).marks
		}
		for i := 0; i < len(heads) && n < len(ids); i++ {
			if id := heads[i]; id != 0 {
				s.leave(w, id)
				ids[n] = id
				n++
			}
		}
	}
	return n
}

// Next is when a key may come next: not later than one does, and now or earlier
// only if one does. It is false if none waits.
func (s *Schedule) Next(now time.Time) (time.Time, bool) {
	_, at := s.advance(&s.waits, int64(now.Sub(s.epoch)/Tick))
	return s.time(at), s.waits.n > 0
}

// MakeDue puts a key among those that are due, out of the queue that it is in.
// They are in the order of their expiry, to a tick.
func (s *Schedule) MakeDue(id ID) {
	s.Rest(id)
	w := &s.dues
	if s.Due() == 0 {
		w.cursor = s.waits.cursor
	}
	r := s.rec(id)
	if at := r.when() / Tick.Milliseconds(); at >= w.cursor {
		r.place = due
		s.enter(w, id, at)
	} else {
		r.place = late
		s.push(id)
	}
}

// Pop fills ids with the keys that expire first among those that are due, and says
// how many there were. They rest. It has read their names, so that each is near
// when it is needed: that takes little where it is done for many at once.
func (s *Schedule) Pop(ids []ID) (n int) {
	for n < len(ids) {
		id := s.root
		if id == 0 {
			id, _ = s.advance(&s.dues, math.MaxInt64)
		}
		if id == 0 {
			break
		}
		s.Rest(id)
		ids[n] = id
		n++
	}
	for _, id := range ids[:n] {
		p := &s.pages[id>>pageBits]
		s.read |= Marks(p.names[p.records[id&pageMask].name])
	}
	return n
}

// Due is the number of keys that are due.
func (s *Schedule) Due() int { return s.dues.n + s.late }

// advance moves the cursor to a tick, or to the first one until then at which
// keys hang, of which it returns one. Else keys may come at at.
func (s *Schedule) advance(w *wheel, to int64) (id ID, at int64) {
	if w.levels[0] != nil && w.cursor <= to {
		if id := w.first(int(w.cursor & 255)); id != 0 {
			return id, w.cursor // as most often, where many keys come at a tick
		}
	}
	for {
		k, slot, at := w.next()
		if k < 0 {
			return 0, 0
		}
		if at > to {
			w.cursor = max(w.cursor, to)
			return 0, at
		}
		if k == 0 {
			w.cursor = at
			return w.first(slot), at
		}
		var heads [maxWays]ID
		n := copy(heads[:], w.heads(k, slot))
		if alone := s.alone(heads[:n]); alone != 0 { // it goes where it belongs at once
			at = min(w.at(s.rec(alone)), to)
		}
		w.cursor = at
		clear(w.heads(k, slot))
		w.levels[k].set[slot>>6] &^= 1 << (slot & 63)
		s.descend(w, heads[:n])
	}
}

// descend hangs the keys of a slot, of whose ways these are the first ones, where
// they belong by now.
func (s *Schedule) descend(w *wheel, heads []ID) {
	var next [maxWays]ID
	for some := true; some; {
		some = false
		for i, id := range heads { // in a loop of its own, to have the misses overlap
			next[i] = s.rec(id).next
		}
		for i, id := range heads {
			if id != 0 {
				s.hang(w, id, s.rec(id))
				heads[i], some = next[i], true
			}
		}
	}
}

// alone is the only key of a slot, and 0 if there are others.
func (s *Schedule) alone(heads []ID) (only ID) {
	for _, id := range heads {
		if id != 0 && (only != 0 || s.rec(id).next != 0) {
			return 0
		}
		only |= id
	}
	return only
}

// first is a key of a slot on the lowest level, or 0.
func (w *wheel) first(slot int) ID {
	for _, id := range w.heads(0, slot) {
		if id != 0 {
			return id
		}
	}
	return 0
}

// heads are the first keys of the ways of a slot.
func (w *wheel) heads(k, slot int) []ID {
	n := w.perSlot()
	return w.levels[k].ways[slot*n : (slot+1)*n]
}

// head is where the first key of a key's way is noted.
func (w *wheel) head(k, slot int, id ID) *ID {
	n := w.perSlot()
	return &w.levels[k].ways[slot*n+int(id)&(n-1)]
}

func (w *wheel) perSlot() int {
	if w.wide {
		return maxWays
	}
	return 1
}

// widen gives each slot more ways.
func (s *Schedule) widen(w *wheel) {
	levels := w.levels
	w.levels, w.wide = [4]*level{}, true
	for _, l := range levels {
		if l != nil {
			for i := range l.ways {
				s.descend(w, l.ways[i:i+1])
			}
		}
	}
}

// next finds the first slot that is not empty, and its tick. Without any, the
// level is negative.
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

// enter adds a key.
func (s *Schedule) enter(w *wheel, id ID, at int64) {
	if w.n >= wideFrom && !w.wide {
		s.widen(w)
	}
	r := s.rec(id)
	r.link = uint32(min(max(at, w.cursor), w.cursor+horizon))
	w.n++
	s.hang(w, id, r)
}

// hang puts a key into the slot of its tick.
func (s *Schedule) hang(w *wheel, id ID, r *record) {
	k, slot := w.place(r.link)
	l := w.levels[k]
	if l == nil {
		l = &level{ways: make([]ID, 256*w.perSlot())}
		w.levels[k] = l
	}
	head := w.head(k, slot, id)
	r.prev, r.next = 0, *head
	if r.next != 0 {
		s.rec(r.next).prev = id
	}
	l.set[slot>>6] |= 1 << (slot & 63)
	*head = id
}

// leave takes a key out.
func (s *Schedule) leave(w *wheel, id ID) {
	r := s.rec(id)
	if r.next != 0 {
		s.rec(r.next).prev = r.prev
	}
	if r.prev != 0 {
		s.rec(r.prev).next = r.next
	} else {
		k, slot := w.place(r.link)
		*w.head(k, slot, id) = r.next
		if r.next == 0 && empty(w.heads(k, slot)) {
			w.levels[k].set[slot>>6] &^= 1 << (slot & 63)
		}
	}
	r.next, r.prev, r.link, r.place = 0, 0, 0, resting
	w.n--
}

func empty(heads []ID) bool {
	var found ID
	for _, id := range heads {
		found |= id
	}
	return found == 0
}
