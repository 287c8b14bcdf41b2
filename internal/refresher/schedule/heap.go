// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

// tardies are keys that became due when others had been popped that expire later:
// they are in no wheel, since its cursor has passed their tick. There are few of
// them. They form a binary heap: none expires before its parent, which stands half
// as far on. As in a wheel, one that leaves stays noted.
//
// Source: J. Williams, "Algorithm 232: Heapsort" (Communications of the ACM, 1964).
type tardies []tardy

type tardy struct {
	when int64 // it expires
	id   ID
}

func (h *tardies) push(t tardy) {
	*h = append(*h, t)
	all := *h
	i := len(all) - 1
	for i > 0 && t.when < all[(i-1)/2].when {
		all[i] = all[(i-1)/2]
		i = (i - 1) / 2
	}
	all[i] = t
}

// pop takes out the first one.
func (h *tardies) pop() tardy {
	all := *h
	first, t := all[0], all[len(all)-1]
	all = all[:len(all)-1]
	*h = all
	i := 0
	for child := 1; child < len(all); child = 2*i + 1 {
		if child+1 < len(all) && all[child+1].when < all[child].when {
			child++
		}
		if t.when <= all[child].when {
			break
		}
		all[i] = all[child]
		i = child
	}
	if len(all) > 0 {
		all[i] = t
	}
	return first
}

// isLate says that what is noted of a key holds.
func (s *Schedule) isLate(t tardy) bool {
	return t.id <= s.n && s.rec(t.id).place == late && s.rec(t.id).when() == t.when
}
