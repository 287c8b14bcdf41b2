// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schedule holds the keys of a keyspace, and says which to look at
// next: by the time at which each should be looked at again, and, once they are
// due, by how soon Redis would lose them.
//
//	Add ──► unqueued ──Wait──► waiting ──TakeReady, MakeDue──► due ──Pop──► unqueued
//	                          by time                    by expiry
//
// A schedule only reminds. That a key is due here means "ask Redis"; whether
// anything is loaded is decided by what Redis answers.
//
// # What it costs
//
// It is made for ten million keys: about 50 bytes each with a name of 24, and
// no pointer per key, so that the garbage collector has next to nothing to do.
// Keys are numbered without gaps and their records stand in arrays. Names lie
// in the arrays' own memory, without the prefix that all of them share. Both
// queues are timing wheels, which note numbers one behind the other. Everything
// takes constant time, whatever the number of keys, but for keys that expire
// before others which were popped already.
//
// At a million keys most of the time goes into cache misses: that of a record when
// its key comes, and that of its name. Keys come, are popped and are named many at
// a time, so that the misses of one do not wait for those of another.
package schedule

import (
	"fmt"
	"iter"
	"strings"
	"time"
)

// ID is the number of a key, from 1 to Len. Remove gives the last number to
// another key: an ID is good until the next Remove.
type ID uint32

// Schedule holds keys. It is not safe for concurrent use. Make one with New.
type Schedule struct {
	epoch  time.Time
	prefix string
	n      ID // the last number given out
	pages  []page
	index  index
	waits  wheel
	dues   wheel
	lates  tardies
	late   int    // keys among the lates
	read   uint32 // what was read only to have it near
}

// record is what is held of a key beside its name.
type record struct {
	name       uint32 // where its name begins in the page
	at         uint32 // the tick at which a wheel has it, low bits
	expiry     uint32 // milliseconds since the epoch, low bits
	expiryHigh uint8
	place      place
	seen       uint8
	marks      Marks
}

type place uint8

const (
	unqueued place = iota
	waiting        // in a wheel by when it comes
	due            // in a wheel by its expiry
	late           // in a heap by its expiry
)

// Marks are eight bits per key for the use of the caller. They are 0 at first.
type Marks uint8

const (
	pageBits = 9
	pageSize = 1 << pageBits // records
	pageMask = pageSize - 1

	// past is how far before its making a schedule can tell times apart.
	past = 8 * 365 * 24 * time.Hour
	// maxExpiry is the latest that it can, some 26 years later.
	maxExpiry = 1<<40 - 1
)

// New returns a schedule for keys that begin with prefix, at the time now.
func New(prefix string, now time.Time) *Schedule {
	s := &Schedule{epoch: now.Add(-past), prefix: prefix}
	s.waits.cursor = s.tick(now)
	s.add() // number 0 stands for no key
	return s
}

// Len is the number of keys.
func (s *Schedule) Len() int { return int(s.n) }

// All yields all keys, the last one first: a key may be removed when it was
// yielded.
func (s *Schedule) All() iter.Seq[ID] {
	return func(yield func(ID) bool) {
		for id := s.n; id > 0 && yield(id); id-- {
		}
	}
}

// Find returns the number of a key, and 0 if it is not held.
func (s *Schedule) Find(name string) ID {
	rest, ok := strings.CutPrefix(name, s.prefix)
	if !ok {
		return 0
	}
	return s.find(rest)
}

// FindAgain is Find for a key that had the number id: it most likely has it still,
// which takes less to see than to look for its name.
func (s *Schedule) FindAgain(name string, id ID) ID {
	if 0 < id && id <= s.n && strings.HasPrefix(name, s.prefix) && string(s.nameBytes(id)) == name[len(s.prefix):] {
		return id
	}
	return s.Find(name)
}

// Add takes in a key that is not held yet. It is unqueued, and expires at the
// epoch. It panics if the name does not begin with the prefix.
func (s *Schedule) Add(name string) ID {
	rest, ok := strings.CutPrefix(name, s.prefix)
	if !ok {
		panic(fmt.Sprintf("schedule: the key %q does not begin with %q", name, s.prefix))
	}
	id := s.add()
	s.n = id
	s.setName(id, rest)
	s.insert(id, hash(rest))
	return id
}

// add appends an empty record.
func (s *Schedule) add() ID {
	if last := len(s.pages) - 1; last < 0 || len(s.pages[last].records) == pageSize {
		s.pages = append(s.pages, s.newPage())
	}
	last := len(s.pages) - 1
	p := &s.pages[last]
	p.records = append(p.records, record{name: hole})
	return ID(last<<pageBits + len(p.records) - 1)
}

// Remove forgets a key. The key with the last number takes its number.
func (s *Schedule) Remove(id ID) {
	s.Dequeue(id)
	s.delete(id)
	s.dropName(id)
	if last := s.n; id != last {
		s.renumber(last, id)
	}
	end := &s.pages[s.n>>pageBits]
	end.records = end.records[:s.n&pageMask]
	if len(end.records) == 0 {
		s.pages[s.n>>pageBits] = page{}
		s.pages = s.pages[:s.n>>pageBits]
	}
	s.n--
	s.shrink()
	s.tidy()
}

// renumber moves a key to a number that is free.
func (s *Schedule) renumber(from, to ID) {
	s.reindex(from, to)
	name := s.name(from)
	r := s.rec(to)
	*r = *s.rec(from)
	if from>>pageBits != to>>pageBits {
		s.setName(to, name)
		s.dropName(from)
	}
	switch r.place { // where it is noted by its former number
	case waiting:
		s.waits.renote(to, r.at)
	case due:
		s.dues.renote(to, r.at)
	case late:
		s.lates.push(tardy{r.when(), to})
	}
}

// Unqueued says that a key is in no queue.
func (s *Schedule) Unqueued(id ID) bool { return s.rec(id).place == unqueued }

// Expiry is when a key expires, to the millisecond, as SetExpiry was told.
func (s *Schedule) Expiry(id ID) time.Time {
	return s.epoch.Add(time.Duration(s.rec(id).when()) * time.Millisecond)
}

// Left is how long a key lives from now on.
func (s *Schedule) Left(id ID, now time.Time) time.Duration {
	return time.Duration(s.rec(id).when())*time.Millisecond - now.Sub(s.epoch)
}

// SetExpiry says when a key expires, rounded up to milliseconds. A key that is due must be made to rest
// before, since due keys are in the order of it.
func (s *Schedule) SetExpiry(id ID, at time.Time) {
	ms := min(max(0, (at.Sub(s.epoch)+time.Millisecond-1).Milliseconds()), maxExpiry)
	r := s.rec(id)
	r.expiry, r.expiryHigh = uint32(ms), uint8(ms>>32)
}

func (r *record) when() int64 { return int64(r.expiryHigh)<<32 | int64(r.expiry) }

// Marks are a key's marks.
func (s *Schedule) Marks(id ID) Marks { return s.rec(id).marks }

// Has says that a key has all of the marks.
func (s *Schedule) Has(id ID, m Marks) bool { return s.rec(id).marks&m == m }

// Mark sets marks of a key.
func (s *Schedule) Mark(id ID, m Marks) { s.rec(id).marks |= m }

// Unmark takes marks from a key.
func (s *Schedule) Unmark(id ID, m Marks) { s.rec(id).marks &^= m }

// Seen is a number that goes with each key, for the use of the caller.
func (s *Schedule) Seen(id ID) uint8 { return s.rec(id).seen }

// See sets it.
func (s *Schedule) See(id ID, n uint8) { s.rec(id).seen = n }

func (s *Schedule) rec(id ID) *record { return &s.pages[id>>pageBits].records[id&pageMask] }
