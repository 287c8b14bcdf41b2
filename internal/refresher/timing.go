// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"math/bits"
	"time"
)

const (
	// jitter is the share of the time to the refresh ratio by which a key may
	// come earlier, so that keys written together do not stay together.
	jitter = 0.1

	// least is the share of the time to the refresh ratio that lies at least
	// between two loads of one key, whatever TTL an application gives it.
	least = 0.5

	minBackoff = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// timing is the arithmetic of one keyspace's lifetime. Ages are measured from
// the write, on Redis' clock: age = expire - remaining TTL.
//
//	0 ........... earliest ..... due ..... staleAge ................ expire
//	write          a key is due somewhere  fresh | stale              gone
//	               in here: jitter
//	                             └ lead ┘ what a rebuild takes, and waits
type timing struct {
	expire   time.Duration
	staleAge time.Duration // Keyspace.DueAfter
	grace    time.Duration // how long a key may be stale or missing before that counts as late
}

func newTiming(k Keyspace) timing {
	t := timing{expire: k.Expire, staleAge: k.DueAfter}
	t.grace = min(k.GuardTimeout, (t.expire-t.staleAge)/2)
	return t
}

// untilStale is how long a key with this TTL stays fresh. A TTL longer than
// expire is the application's wish: such a key is due in the last part of its
// life, like any other.
func (t timing) untilStale(ttl time.Duration) time.Duration {
	return ttl - (t.expire - t.staleAge)
}

// untilDue is how long a key with this TTL can be left alone. lead is what a
// rebuild may take, and random lies in [0, 1).
func (t timing) untilDue(ttl, lead time.Duration, random float64) time.Duration {
	early := time.Duration(random * float64(t.jitter()))
	return t.untilStale(ttl) - min(lead, t.maxLead()) - early
}

// jitter is the most by which a key comes earlier, beside the lead.
func (t timing) jitter() time.Duration { return max(1, time.Duration(jitter*float64(t.staleAge))) }

// perStep is how many full batches come at a step, at most.
const perStep = 4

// step is how far apart the times are at which keys of a batch loader come, so
// that they come together and batches are full; 0 is any time. Being a power of
// two, it seldom changes with the number of keys, and then keeps half of the times.
func (t timing) step(keys, size int) time.Duration {
	if size == 1 || keys == 0 {
		return 0
	}
	full := perStep * float64(size) / float64(keys) * float64(t.staleAge)
	most := time.Duration(min(full, float64(t.jitter()/2)))
	return 1 << bits.Len64(uint64(most)) >> 1
}

// due says whether a key with this TTL may be rebuilt: it is within the time in
// which untilDue can place it.
func (t timing) due(ttl, lead time.Duration) bool { return t.untilDue(ttl, lead, 1) <= 0 }

// maxLead is the most by which a key comes early: else it would be loaded more
// often than interval allows.
func (t timing) maxLead() time.Duration { return t.staleAge - t.interval() }

// fits is the longest that a rebuild may take which begins as early as it may,
// if the key is not to expire.
func (t timing) fits() time.Duration { return t.expire - t.interval() }

// interval lies at least between two loads of one key: an application may give
// it a TTL with which it is always due.
func (t timing) interval() time.Duration {
	return time.Duration(least * float64(t.staleAge))
}

// keptByListing is the shortest expire with the same refresh ratio for which
// listings that take so long find each key before it is stale: one that is written
// just behind a listing's back is found by the next, which begins a pause after
// that one at the latest if it is needed (listInterval).
func (t timing) keptByListing(took time.Duration) time.Duration {
	return time.Duration(float64(took+minListPause) * float64(t.expire) / float64(t.staleAge))
}

// backoff is how long to wait after a number of failures in a row: doubled each
// time from a floor, so that several tries fit between a key's being due and
// its expiry, and never more often than the schedule beyond them. A random
// quarter is taken off to part those who failed together.
func (t timing) backoff(failures int, random float64) time.Duration {
	floor := max(minBackoff, min(time.Second, (t.expire-t.staleAge)/8))
	ceiling := max(floor, min(maxBackoff, t.staleAge))
	wait := floor << min(max(failures-1, 0), 16)
	wait = min(wait, ceiling)
	return wait - time.Duration(random*float64(wait)/4)
}

// whileHeld is how long to leave a key alone whose guard somebody else holds: for
// a lease, but not until it would count as late, though it has long been rebuilt.
// Up to a tenth is added to part those who wait.
func (t timing) whileHeld(lease time.Duration, random float64) time.Duration {
	wait := min(lease, max(minBackoff, t.grace/2))
	return wait + time.Duration(random*float64(wait)/10)
}
