// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package pacing

import (
	"math/rand/v2"
	"testing"
	"time"
)

const minute = time.Minute

// quarter is a key that lives for 100 s and is stale after 60.
var quarter = NewTiming(100*time.Second, 60*time.Second, 6*time.Second)

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
			if got := quarter.UntilDue(c.ttl, c.lead, c.random); got != c.want {
				t.Errorf("UntilDue(%s, %s, %v) = %s, want %s", c.ttl, c.lead, c.random, got, c.want)
			}
		})
	}
}

// Whenever a look was scheduled for, Redis' answer at that time must lead to a
// load: otherwise the schedule and the decision would send a key to and fro.
func TestAKeyIsDueWheneverItsLookComes(t *testing.T) {
	forTimings(t, func(tm Timing) {
		ttl := rand.N(3 * tm.Expire)
		lead := rand.N(2 * tm.Expire)
		wait := tm.UntilDue(ttl, lead, rand.Float64())
		if !tm.Due(ttl-max(wait, 0), lead) {
			t.Errorf("%+v: a key with the TTL %s is looked at after %s, and is not due then (lead %s)", tm, ttl, wait, lead)
		}
	})
}

func TestAKeyComesDueBeforeItExpires(t *testing.T) {
	forTimings(t, func(tm Timing) {
		ttl := rand.N(3 * tm.Expire)
		wait := tm.UntilDue(ttl, rand.N(2*tm.Expire), rand.Float64())
		if left := ttl - wait; left < tm.Expire-tm.StaleAge {
			t.Errorf("%+v: a key with the TTL %s is looked at %s before it expires; want at least %s", tm, ttl, left, tm.Expire-tm.StaleAge)
		}
	})
}

// However slow the loads, a key that was just written is left alone for a while.
func TestAFreshKeyIsNotDue(t *testing.T) {
	forTimings(t, func(tm Timing) {
		lead := rand.N(10 * tm.Expire)
		if tm.Due(tm.Expire, lead) {
			t.Errorf("%+v: due at once with a lead of %s", tm, lead)
		}
		if wait := tm.UntilDue(tm.Expire, lead, rand.Float64()); wait < tm.StaleAge/3 {
			t.Errorf("%+v: due after %s with a lead of %s", tm, wait, lead)
		}
	})
}

func TestBackoffIsBounded(t *testing.T) {
	forTimings(t, func(tm Timing) {
		ceiling := max(MinBackoff, min(MaxBackoff, tm.StaleAge), min(time.Second, (tm.Expire-tm.StaleAge)/8))
		for _, failures := range []int{-1, 0, 1, 2, 3, 10, 17, 64, 1 << 30} {
			wait := tm.Backoff(failures, rand.Float64())
			if wait < MinBackoff*3/4 || wait > ceiling {
				t.Errorf("%+v: %s after %d failures, want between %s and %s", tm, wait, failures, MinBackoff*3/4, ceiling)
			}
			if next := tm.Backoff(failures+1, 0); next < wait {
				t.Errorf("%+v: %s after %d failures, but %s after one more", tm, wait, failures, next)
			}
		}
	})
}

func TestSeveralTriesFitBetweenDueAndExpiry(t *testing.T) {
	forTimings(t, func(tm Timing) {
		room := tm.Expire - tm.StaleAge
		if room < time.Second {
			return // the floor comes first
		}
		tries := 1
		for took := tm.Backoff(1, 0); took < room; took += tm.Backoff(tries, 0) {
			tries++
		}
		if tries < 4 {
			t.Errorf("%+v: %d tries in %s, want 4", tm, tries, room)
		}
	})
}

// forTimings calls f for many lifetimes from 2 ms to a month.
func forTimings(t *testing.T, f func(Timing)) {
	t.Helper()
	for range 20000 {
		expire := 2 * time.Millisecond << rand.IntN(31)
		expire += rand.N(expire)
		f(NewTiming(expire, 1+rand.N(expire-1), 1+rand.N(minute)))
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
			tm := NewTiming(time.Minute, 30*time.Second, 0)
			if got := tm.ShortestListed(c.took, time.Second); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
