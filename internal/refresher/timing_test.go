// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"math/rand/v2"
	"testing"
	"time"
)

const minute = time.Minute

// quarter is a key that lives for 100 s and is stale after 60.
var quarter = newTiming(Keyspace{Expire: 100 * time.Second, DueAfter: 60 * time.Second, GuardTimeout: 6 * time.Second})

func TestWhenAKeyIsDue(t *testing.T) {
	for what, c := range map[string]struct {
		ttl, lead time.Duration
		random    float64
		want      time.Duration
	}{
		"a key that was just written, when it would become stale":         {100 * time.Second, 0, 0, 60 * time.Second},
		"by jitter, up to a tenth of that time earlier":                   {100 * time.Second, 0, 1, 54 * time.Second},
		"earlier by as long as a load takes":                              {100 * time.Second, 5 * time.Second, 0, 55 * time.Second},
		"by a slow load, by half of that time at most":                    {100 * time.Second, time.Hour, 0, 30 * time.Second},
		"a key with half of its life left, since a while":                 {30 * time.Second, 0, 0, -10 * time.Second},
		"a key with a longer life than a rebuild gives, in its last part": {1000 * time.Second, 0, 0, 960 * time.Second},
		"a key that expires now, long since":                              {0, 0, 0, -40 * time.Second},
	} {
		t.Run(what, func(t *testing.T) {
			if got := quarter.untilDue(c.ttl, c.lead, c.random); got != c.want {
				t.Errorf("untilDue(%s, %s, %v) = %s, want %s", c.ttl, c.lead, c.random, got, c.want)
			}
		})
	}
}

// Whenever a look was scheduled for, Redis' answer at that time must lead to a
// load: otherwise the schedule and the decision would send a key to and fro.
func TestAKeyIsDueWheneverItsLookComes(t *testing.T) {
	forTimings(t, func(tm timing) {
		ttl := rand.N(3 * tm.expire)
		lead := rand.N(2 * tm.expire)
		wait := tm.untilDue(ttl, lead, rand.Float64())
		if !tm.due(ttl-max(wait, 0), lead) {
			t.Errorf("%+v: a key with the TTL %s is looked at after %s, and is not due then (lead %s)", tm, ttl, wait, lead)
		}
	})
}

func TestAKeyComesDueBeforeItExpires(t *testing.T) {
	forTimings(t, func(tm timing) {
		ttl := rand.N(3 * tm.expire)
		wait := tm.untilDue(ttl, rand.N(2*tm.expire), rand.Float64())
		if left := ttl - wait; left < tm.expire-tm.staleAge {
			t.Errorf("%+v: a key with the TTL %s is looked at %s before it expires; want at least %s", tm, ttl, left, tm.expire-tm.staleAge)
		}
	})
}

// However slow the loads, a key that was just written is left alone for a while.
func TestAFreshKeyIsNotDue(t *testing.T) {
	forTimings(t, func(tm timing) {
		lead := rand.N(10 * tm.expire)
		if tm.due(tm.expire, lead) {
			t.Errorf("%+v: due at once with a lead of %s", tm, lead)
		}
		if wait := tm.untilDue(tm.expire, lead, rand.Float64()); wait < tm.staleAge/3 {
			t.Errorf("%+v: due after %s with a lead of %s", tm, wait, lead)
		}
	})
}

func TestBackoffIsBounded(t *testing.T) {
	forTimings(t, func(tm timing) {
		ceiling := max(minBackoff, min(maxBackoff, tm.staleAge), min(time.Second, (tm.expire-tm.staleAge)/8))
		for _, failures := range []int{-1, 0, 1, 2, 3, 10, 17, 64, 1 << 30} {
			wait := tm.backoff(failures, rand.Float64())
			if wait < minBackoff*3/4 || wait > ceiling {
				t.Errorf("%+v: %s after %d failures, want between %s and %s", tm, wait, failures, minBackoff*3/4, ceiling)
			}
			if next := tm.backoff(failures+1, 0); next < wait {
				t.Errorf("%+v: %s after %d failures, but %s after one more", tm, wait, failures, next)
			}
		}
	})
}

func TestSeveralTriesFitBetweenDueAndExpiry(t *testing.T) {
	forTimings(t, func(tm timing) {
		room := tm.expire - tm.staleAge
		if room < time.Second {
			return // the floor comes first
		}
		tries := 1
		for took := tm.backoff(1, 0); took < room; took += tm.backoff(tries, 0) {
			tries++
		}
		if tries < 4 {
			t.Errorf("%+v: %d tries in %s, want 4", tm, tries, room)
		}
	})
}

// forTimings calls f for many lifetimes from 2 ms to a month.
func forTimings(t *testing.T, f func(timing)) {
	t.Helper()
	for range 20000 {
		expire := 2 * time.Millisecond << rand.IntN(31)
		expire += rand.N(expire)
		f(newTiming(Keyspace{Expire: expire, DueAfter: 1 + rand.N(expire-1), GuardTimeout: 1 + rand.N(minute)}))
		if t.Failed() {
			return
		}
	}
}

func TestTheShortestExpireThatListingsKeep(t *testing.T) {
	for sentence, c := range map[string]struct {
		took, want time.Duration
	}{
		"at once: the pause between two counts": {0, 2 * time.Second},
		"short":                                 {500 * time.Millisecond, 3 * time.Second},
		"long: one listing after the other":     {30 * time.Second, 62 * time.Second},
	} {
		t.Run(sentence, func(t *testing.T) {
			tm := newTiming(Keyspace{Expire: time.Minute, DueAfter: 30 * time.Second})
			if got := tm.keptByListing(c.took); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
