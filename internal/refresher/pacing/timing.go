// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pacing decides when and how fast: when a key becomes due and counts as late,
// how early it has to be looked at, how long to wait after a failure, and when to stop
// asking a loader or deleting by its word. Numbers go in and numbers come out: nothing
// here knows Redis, loaders or goroutines, and the time is always an argument.
package pacing

import (
	"math/bits"
	"time"
)

const (
	// jitter is the share of StaleAge by which a key may become due earlier, so that
	// keys written together do not stay together.
	jitter = 0.1

	// minReloadShare is the share of StaleAge that lies at least between two loads of
	// one key, whatever TTL an application gives it.
	minReloadShare = 0.5

	// MinBackoff is the shortest wait after a failure.
	MinBackoff = 100 * time.Millisecond

	// MaxBackoff is the longest wait after a failure.
	MaxBackoff = 30 * time.Second
)

// Timing is the arithmetic of one keyspace's lifetime. Ages are measured from the
// write, on Redis' clock: age = Expire - remaining TTL.
//
//	0 ........... earliest ..... due ..... StaleAge ................ Expire
//	write          a key becomes due       fresh | stale              gone
//	               somewhere in here:
//	               the jitter    └ lead ┘ the time that a rebuild takes, and waits
type Timing struct {
	Expire   time.Duration // the TTL that a rebuild writes
	StaleAge time.Duration // the age after which a key is stale: refresh ratio x Expire
	Grace    time.Duration // how long a key may be stale or missing before it counts as late
}

// NewTiming returns the timing of keys that live for expire and are stale after
// staleAge, and whose rebuild may take up to guardTimeout.
func NewTiming(expire, staleAge, guardTimeout time.Duration) Timing {
	return Timing{Expire: expire, StaleAge: staleAge, Grace: min(guardTimeout, (expire-staleAge)/2)}
}

// UntilStale is how long a key with this TTL stays fresh; negative if it is stale. A
// TTL longer than Expire is the application's wish: such a key is due in the last part
// of its life, like any other.
func (t Timing) UntilStale(ttl time.Duration) time.Duration {
	return ttl - (t.Expire - t.StaleAge)
}

// UntilDue is how long a key with this TTL can be left alone. lead is the time that its
// rebuild may take, and random lies in [0, 1).
func (t Timing) UntilDue(ttl, lead time.Duration, random float64) time.Duration {
	early := time.Duration(random * float64(t.Jitter()))
	return t.UntilStale(ttl) - min(lead, t.MaxLead()) - early
}

// Due says whether a key with this TTL may be rebuilt: it is within the time in which
// UntilDue can place it.
func (t Timing) Due(ttl, lead time.Duration) bool { return t.UntilDue(ttl, lead, 1) <= 0 }

// Jitter is the longest time by which a key becomes due earlier, apart from the lead.
func (t Timing) Jitter() time.Duration { return max(1, time.Duration(jitter*float64(t.StaleAge))) }

// batchesPerStep is how many full batches become due at a step, at most.
const batchesPerStep = 4

// Step is the distance between the times at which keys of a batch loader become due, so
// that they come together and batches are full; 0 means any time. It is a power of two,
// so that it seldom changes with the number of keys, and then keeps half of the times.
func (t Timing) Step(keys, batchSize int) time.Duration {
	if batchSize == 1 || keys == 0 {
		return 0
	}
	full := batchesPerStep * float64(batchSize) / float64(keys) * float64(t.StaleAge)
	longest := time.Duration(min(full, float64(t.Jitter()/2)))
	return 1 << bits.Len64(uint64(longest)) >> 1
}

// MaxLead is the longest lead: with a longer one a key would be loaded more often than
// ReloadInterval allows.
func (t Timing) MaxLead() time.Duration { return t.StaleAge - t.ReloadInterval() }

// MaxRebuildTime is the longest time that a rebuild may take which begins as early as it
// may, if the key is not to expire meanwhile.
func (t Timing) MaxRebuildTime() time.Duration { return t.Expire - t.ReloadInterval() }

// ReloadInterval is the shortest time between two loads of one key: an application may
// give it a TTL with which it is always due.
func (t Timing) ReloadInterval() time.Duration {
	return time.Duration(minReloadShare * float64(t.StaleAge))
}

// ShortestListed is the shortest Expire, with the same refresh ratio, with which
// listings alone find each key before it is stale. took is the duration of a listing,
// and pause the shortest time between two: a key that is written just behind a listing's
// back is found by the next one, which begins that pause later.
func (t Timing) ShortestListed(took, pause time.Duration) time.Duration {
	return time.Duration(float64(took+pause) * float64(t.Expire) / float64(t.StaleAge))
}

// Backoff is how long to wait after a number of failures in a row. It doubles from a
// floor that lets several tries fit between a key's being due and its expiry, up to
// StaleAge, so that failures never ask more often than the schedule beyond the first
// tries. random, in [0, 1), takes off up to a quarter to part those who failed together.
func (t Timing) Backoff(failures int, random float64) time.Duration {
	floor := max(MinBackoff, min(time.Second, (t.Expire-t.StaleAge)/8))
	ceiling := max(floor, min(MaxBackoff, t.StaleAge))
	wait := floor << min(max(failures-1, 0), 16)
	wait = min(wait, ceiling)
	return wait - time.Duration(random*float64(wait)/4)
}

// WhileHeld is how long to leave a key alone whose guard somebody else holds: a lease,
// but no longer than until it would count as late though it was rebuilt long ago.
// random, in [0, 1), adds up to a tenth to part those who wait.
func (t Timing) WhileHeld(lease time.Duration, random float64) time.Duration {
	wait := min(lease, max(MinBackoff, t.Grace/2))
	return wait + time.Duration(random*float64(wait)/10)
}
