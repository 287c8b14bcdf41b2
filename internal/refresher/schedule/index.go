// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"hash/maphash"
	"math/bits"
)

// index finds keys by name. It is a hash table of buckets that fill a cache
// line each: a name is looked for in its bucket, and in the next ones for as
// long as names had to pass by there. Eight bits of each name's hash stand
// beside its number, so that other names are hardly ever read.
//
// Source: the counting of names that passed by, in place of tombstones, is from
// F14 (N. Bronson and X. Shi, "Open-sourcing F14", Meta, 2019).
type index struct {
	buckets []bucket
	n       int
}

type bucket struct {
	tags   [bucketSize]uint8 // 0: free
	passed uint32            // names that are further on because this one was full
	ids    [bucketSize]ID
}

const (
	bucketSize = 12
	// fill is how many numbers a bucket holds on average, at most.
	fill = 10
)

var seed = maphash.MakeSeed()

func hash(name string) uint64 { return maphash.String(seed, name) }

func tag(h uint64) uint8 { return uint8(h) | 1 }

// home is the bucket of a hash, by its high bits.
func (x *index) home(h uint64) int {
	high, _ := bits.Mul64(h, uint64(len(x.buckets)))
	return int(high)
}

func (x *index) after(b int) int {
	if b++; b < len(x.buckets) {
		return b
	}
	return 0
}

func (s *Schedule) find(name string) ID {
	x := &s.index
	if x.n == 0 {
		return 0
	}
	h := hash(name)
	t := tag(h)
	for b := x.home(h); ; b = x.after(b) {
		bucket := &x.buckets[b]
		for i, has := range bucket.tags {
			if has == t && string(s.nameBytes(bucket.ids[i])) == name {
				return bucket.ids[i]
			}
		}
		if bucket.passed == 0 {
			return 0
		}
	}
}

// insert adds a name that is not there.
func (s *Schedule) insert(id ID, h uint64) {
	x := &s.index
	if x.n >= fill*len(x.buckets) {
		s.rehash(len(x.buckets)*5/4 + 1)
		return // id is among the keys
	}
	x.put(id, h)
}

func (x *index) put(id ID, h uint64) {
	x.n++
	for b := x.home(h); ; b = x.after(b) {
		bucket := &x.buckets[b]
		for i, has := range bucket.tags {
			if has == 0 {
				bucket.tags[i], bucket.ids[i] = tag(h), id
				return
			}
		}
		bucket.passed++
	}
}

// slot is where a number stands.
func (x *index) slot(id ID, h uint64) (b, i int) {
	for b = x.home(h); ; b = x.after(b) {
		bucket := &x.buckets[b]
		for i, has := range bucket.ids {
			if has == id && bucket.tags[i] != 0 {
				return b, i
			}
		}
	}
}

// delete takes a key out.
func (s *Schedule) delete(id ID) {
	x, h := &s.index, maphash.Bytes(seed, s.nameBytes(id))
	b, i := x.slot(id, h)
	x.buckets[b].tags[i] = 0
	x.n--
	for at := x.home(h); at != b; at = x.after(at) {
		x.buckets[at].passed--
	}
}

// reindex gives a key another number.
func (s *Schedule) reindex(from, to ID) {
	b, i := s.index.slot(from, maphash.Bytes(seed, s.nameBytes(from)))
	s.index.buckets[b].ids[i] = to
}

// shrink halves an index that is three quarters empty.
func (s *Schedule) shrink() {
	if buckets := len(s.index.buckets); buckets > 1 && s.index.n < fill*buckets/4 {
		s.rehash(buckets/2 + 1)
	}
}

func (s *Schedule) rehash(buckets int) {
	x := index{buckets: make([]bucket, buckets)}
	for id := ID(1); id <= s.n; id++ {
		x.put(id, maphash.Bytes(seed, s.nameBytes(id)))
	}
	s.index = x
}
