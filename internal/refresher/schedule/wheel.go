// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import "math/bits"

// wheel holds keys in slots by a tick: of keys that wait, it is the time of their next
// look; of keys that are due, their expiry. A tick is a number of four digits to the base
// 256. A key lies in the lowest level whose 256 slots, from the cursor on, reach to its
// tick. When the cursor comes to a slot, its keys move to a lower level.
//
//	level 0: 256 slots of 8 ms     a key of the next 9 minutes
//	      1: 256 slots of 2 s      moves once, of the next 37 hours twice
//	      2: 256 slots of 9 min
//	      3: 256 slots of 37 h
//
// Source: G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels"
// (1987), scheme 7.
//
// A slot is a chain of chunks, in which keys are noted one after the other. So keys move
// without their records being read, and what is read lies together. (To link the records
// would cost one cache miss for each.) Nothing is searched for in a slot either: a key that
// leaves before its time stays noted until its time, or until the wheel is wasteful and is
// rebuilt from the records. Only the records say what is true.
type wheel struct {
	cursor int64 // nothing lies at an earlier tick
	n      int   // keys
	noted  int   // entries: those of the keys, and those that hold no more
	levels [4]*level
	chunks [][]chunk // in pages, so that they never move but while they are few
	spare  uint32    // the first chunk that is not in use
	spares int
}

type level struct {
	set   [slots / 64]uint64 // slots that are not empty
	first [slots]uint32      // the chunk of each slot that is filled
}

// entry notes a key at a tick, of which it has the low bits.
type entry struct {
	at uint32
	id ID
}

// chunk fills four cache lines. Number 0 stands for none, and counts as full.
type chunk struct {
	next    uint32
	n       uint32
	entries [chunkSize]entry
}

const (
	slotBits = 8
	slots    = 1 << slotBits // of a level
	slotMask = slots - 1

	// chunkSize trades cache misses, one after the other along a slot's chain, for
	// memory: the last chunk of each slot is not full. That is nothing beside ten
	// million keys, and half of the 113 bytes that each of a thousand takes.
	chunkSize = 31
	chunkBits = 7 // of a page
	chunkMask = 1<<chunkBits - 1

	// tolerated is how many entries, or chunks, may be for nothing anyway.
	tolerated = 64

	// horizon is how many ticks ahead of the cursor a key can be: half a year. One
	// that is further comes earlier, which does no harm.
	horizon = 1<<31 - 1
)

// until is the tick of which these are the low bits.
func (w *wheel) until(at uint32) int64 { return w.cursor + int64(at-uint32(w.cursor)) }

// enter notes a key, and says at what it noted it.
func (w *wheel) enter(id ID, tick int64) uint32 {
	at := uint32(min(max(tick, w.cursor), w.cursor+horizon))
	w.n++
	w.noted++
	w.note(entry{at, id})
	return at
}

// note puts an entry into the slot of its tick.
func (w *wheel) note(e entry) {
	tick, cursor, k := w.until(e.at), w.cursor, 0
	for ; tick-cursor >= slots; k++ {
		tick, cursor = tick>>slotBits, cursor>>slotBits
	}
	slot := tick & slotMask
	l := w.levels[k]
	if l == nil {
		l = &level{}
		w.levels[k] = l
	}
	c := w.chunk(l.first[slot])
	if c.n == chunkSize {
		l.first[slot] = w.unused(l.first[slot])
		l.set[slot>>6] |= 1 << (slot & 63)
		c = w.chunk(l.first[slot])
	}
	c.entries[c.n] = e
	c.n++
}

// renote notes a key that is noted by another number.
func (w *wheel) renote(id ID, at uint32) {
	w.noted++
	w.note(entry{at, id})
}

// restart forgets all that is noted, and moves the cursor.
func (w *wheel) restart(cursor int64) {
	if w.noted == 0 && w.spares <= tolerated {
		w.cursor = cursor
		return
	}
	*w = wheel{cursor: cursor}
}

// isWasteful says that the wheel holds many more notes or chunks than so many keys need.
func (w *wheel) isWasteful(keys int) bool {
	return w.noted-w.n > keys/2+tolerated || w.spares*chunkSize > w.noted+keys/2+tolerated*chunkSize
}

// advance moves the cursor to a tick, or to the first one until then at which
// keys are noted; then it is true. Else keys may come at at.
func (w *wheel) advance(to int64) (at int64, some bool) {
	for {
		k, at := w.next()
		switch {
		case k < 0:
			return 0, false
		case at > to:
			w.cursor = max(w.cursor, to)
			return at, false
		case k == 0:
			w.cursor = at
			return at, true
		}
		w.cursor = at
		slot := at >> (k * slotBits) & slotMask
		number := w.levels[k].first[slot]
		w.levels[k].empty(slot)
		for number != 0 {
			c := w.chunk(number) // good even if chunks are moved meanwhile: it is in no slot
			for _, e := range c.entries[:c.n] {
				w.note(e)
			}
			number = w.release(number)
		}
	}
}

// next is the level of the slot that comes next, and the slot's first tick. The
// level is negative if nothing is noted. Of slots that begin together, the keys of
// the highest one have to move first.
func (w *wheel) next() (k int, at int64) {
	k = -1
	if w.n == 0 {
		return k, 0
	}
	for i, l := range w.levels {
		if l == nil {
			continue
		}
		cursor := w.cursor >> (i * slotBits)
		if ahead := l.ahead(cursor & slotMask); ahead >= 0 {
			if begins := (cursor + ahead) << (i * slotBits); k < 0 || begins <= at {
				k, at = i, begins
			}
		}
	}
	return k, at
}

// ahead is how far the first slot that is not empty is from one, or -1.
func (l *level) ahead(from int64) int64 {
	for i := range int64(len(l.set) + 1) { // of the first word, the low bits come last
		set := l.set[(from>>6+i)&3]
		switch i {
		case 0:
			set &= ^uint64(0) << (from & 63)
		case 4:
			set &^= ^uint64(0) << (from & 63)
		}
		if set != 0 {
			return (from>>6+i)<<6 + int64(bits.TrailingZeros64(set)) - from
		}
	}
	return -1
}

// empty forgets the chunks of a slot.
func (l *level) empty(slot int64) {
	l.first[slot] = 0
	l.set[slot>>6] &^= 1 << (slot & 63)
}

func (w *wheel) chunk(number uint32) *chunk {
	if number == 0 {
		return &full
	}
	return &w.chunks[number>>chunkBits][number&chunkMask]
}

// full is chunk 0 of all wheels. Nothing is ever written to it.
var full = chunk{n: chunkSize}

// unused is an empty chunk in front of another.
func (w *wheel) unused(next uint32) (number uint32) {
	if number = w.spare; number != 0 {
		w.spare = w.chunk(number).next
		w.spares--
	} else {
		number = w.grow()
	}
	*w.chunk(number) = chunk{next: next}
	return number
}

// grow appends a chunk. The first page begins small: a keyspace may have ten keys.
func (w *wheel) grow() uint32 {
	last := len(w.chunks) - 1
	switch {
	case last < 0:
		last, w.chunks = 0, [][]chunk{make([]chunk, 1, 4)} // the first one is none
	case len(w.chunks[last]) == 1<<chunkBits:
		last, w.chunks = last+1, append(w.chunks, make([]chunk, 0, 1<<chunkBits))
	}
	w.chunks[last] = append(w.chunks[last], chunk{})
	return uint32(last<<chunkBits + len(w.chunks[last]) - 1)
}

// drop releases the first chunk of a slot.
func (w *wheel) drop(l *level, slot int64) {
	if l.first[slot] = w.release(l.first[slot]); l.first[slot] == 0 {
		l.empty(slot)
	}
}

// release has a chunk be unused, and says which one was behind it.
func (w *wheel) release(number uint32) (next uint32) {
	c := w.chunk(number)
	next, c.next = c.next, w.spare
	w.spare = number
	w.spares++
	return next
}
