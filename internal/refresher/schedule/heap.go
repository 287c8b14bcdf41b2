// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

// Keys that become due when others have been popped that expire later are in no
// wheel: its cursor has passed their tick. There are few of them. They form a
// pairing heap by their expiry, a tree in which no key expires before its
// parent, in the numbers that each record has for a wheel. To add a key takes
// constant time; to take out the first, logarithmic time on average.
//
// Source: M. Fredman, R. Sedgewick, D. Sleator and R. Tarjan, "The pairing heap"
// (Algorithmica, 1986).

// push adds a key to the heap.
func (s *Schedule) push(id ID) {
	s.late++
	s.root = s.meld(s.root, id)
}

// cut takes a key out of the heap.
func (s *Schedule) cut(id ID) {
	r := s.rec(id)
	below := s.pair(ID(r.link))
	if id == s.root {
		s.root = below
	} else {
		s.unlink(id, r)
		s.root = s.meld(s.root, below)
	}
	r.next, r.prev, r.link, r.place = 0, 0, 0, resting
	s.late--
}

// meld makes one of two heaps the first child of the other.
func (s *Schedule) meld(a, b ID) ID {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	}
	ra, rb := s.rec(a), s.rec(b)
	if rb.when() < ra.when() {
		a, b, ra, rb = b, a, rb, ra
	}
	rb.prev, rb.next = a, ID(ra.link)
	if rb.next != 0 {
		s.rec(rb.next).prev = b
	}
	ra.link = uint32(b)
	return a
}

// pair melds siblings: two by two from the first to the last, and then what
// came of that from the last to the first. On the way there it chains the
// pairs backwards by their next.
func (s *Schedule) pair(first ID) ID {
	var pairs ID
	for first != 0 {
		a := first
		b := s.rec(a).next
		first = 0
		if b != 0 {
			first = s.rec(b).next
		}
		s.single(a)
		if b != 0 {
			s.single(b)
		}
		a = s.meld(a, b)
		s.rec(a).next, pairs = pairs, a
	}
	var root ID
	for pairs != 0 {
		a := pairs
		pairs = s.rec(a).next
		s.single(a)
		root = s.meld(root, a)
	}
	return root
}

// single makes a key the root of its own heap.
func (s *Schedule) single(id ID) {
	r := s.rec(id)
	r.next, r.prev = 0, 0
}

// unlink takes a key, with all below it, from its siblings and its parent.
func (s *Schedule) unlink(id ID, r *record) {
	if r.next != 0 {
		s.rec(r.next).prev = r.prev
	}
	if parent := s.rec(r.prev); ID(parent.link) == id {
		parent.link = uint32(r.next)
	} else {
		parent.next = r.next
	}
}

// movedInHeap notes that a key has another number.
func (s *Schedule) movedInHeap(from, to ID) {
	r := s.rec(to)
	if r.next != 0 {
		s.rec(r.next).prev = to
	}
	if child := ID(r.link); child != 0 {
		s.rec(child).prev = to
	}
	switch {
	case s.root == from:
		s.root = to
	case ID(s.rec(r.prev).link) == from:
		s.rec(r.prev).link = uint32(to)
	default:
		s.rec(r.prev).next = to
	}
}
