// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"hash/maphash"
	"time"
)

// Admission decides which misses are worth a load. Readers who miss a key cost at most
// one load per Interval, even if the loader does not know the key. All readers together
// cost no more than Limit loads in that time, whatever keys they make up. A key that was
// loaded can be admitted again after Pause, since a miss of it means that somebody
// deleted it.
//
//	Admit ──► under way ──Done(loaded)───► for a Pause,     1 to 2 of them
//	                    └─Done(!loaded)──► for an Interval, 1 to 2 of them
//
// It remembers hashes of keys, no keys, and at most 4 × (Limit + Pending) of them.
// Two keys share a hash (and so a refusal) once in 2^64 cases; the seed is random,
// so nobody can choose such keys. An Admission belongs to one goroutine.
type Admission struct {
	conf    AdmissionConfig
	seed    maphash.Seed
	pending map[uint64]struct{}
	recent  generations // admitted
	unknown generations // loaded in vain
}

// AdmissionConfig bounds an Admission. All of its fields are positive.
type AdmissionConfig struct {
	Interval time.Duration // between two loads of a key that is not there to load
	Pause    time.Duration // between two loads of any key
	Limit    int           // keys admitted in a Pause, and keys loaded in vain in an Interval
	Pending  int           // loads under way
}

// NewAdmission returns an Admission that has admitted nothing yet.
func NewAdmission(conf AdmissionConfig) *Admission {
	return &Admission{
		conf: conf, seed: maphash.MakeSeed(), pending: map[uint64]struct{}{},
		recent:  generations{period: conf.Pause, limit: conf.Limit},
		unknown: generations{period: conf.Interval, limit: conf.Limit},
	}
}

// Admit says whether a key that was missed at now is to be loaded. If so, Done
// must be called after its load, whatever comes of it.
func (a *Admission) Admit(key string, now time.Time) bool {
	h := maphash.String(a.seed, key)
	a.recent.turn(now)
	a.unknown.turn(now)
	if _, under := a.pending[h]; under || len(a.pending) >= a.conf.Pending {
		return false
	}
	if a.recent.has(h) || a.unknown.has(h) || a.recent.full() || a.unknown.full() {
		return false
	}
	a.pending[h] = struct{}{}
	a.recent.add(h)
	return true
}

// Done says that the load of an admitted key has ended at now, and whether there
// is a value.
func (a *Admission) Done(key string, loaded bool, now time.Time) {
	h := maphash.String(a.seed, key)
	if _, under := a.pending[h]; !under {
		return
	}
	delete(a.pending, h)
	a.recent.turn(now)
	a.unknown.turn(now)
	if loaded {
		a.recent.add(h) // anew, as the load may have taken longer than a Pause
	} else {
		a.unknown.add(h)
	}
}

// generations remember hashes for at least one period and at most two.
type generations struct {
	period time.Duration
	limit  int
	began  time.Time
	young  map[uint64]struct{}
	old    map[uint64]struct{}
}

func (g *generations) turn(now time.Time) {
	switch age := now.Sub(g.began); {
	case age < g.period:
		return
	case age < 2*g.period:
		g.old, g.began = g.young, g.began.Add(g.period)
	default:
		g.old, g.began = nil, now
	}
	g.young = map[uint64]struct{}{}
}

func (g *generations) has(h uint64) bool {
	_, young := g.young[h]
	_, old := g.old[h]
	return young || old
}

func (g *generations) add(h uint64) { g.young[h] = struct{}{} }

func (g *generations) full() bool { return len(g.young) >= g.limit }
