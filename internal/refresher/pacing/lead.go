// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package pacing

import (
	"math"
	"time"
)

// Lead foresees how long before it is stale a key has to be looked at, if its new value
// is to be there in time: the time that all but one in a hundred rebuilds take, and,
// where more keys turn stale together than the loader takes at once, the time that the
// last of them waits for the others. The zero Lead knows nothing yet.
type Lead struct {
	rebuilds latencies
	mean     time.Duration // of a call to the loader
	calls    float64       // how many calls the mean is of, up to meanWindow
	queue    time.Duration // the longest time that a key will have to wait for others
	before   time.Duration // the same, when it was counted the last time
	applied  time.Duration // the lead with which the waiting keys were scheduled
}

// meanWindow is how many calls a mean remembers.
const meanWindow = 32

// Called notes how long a call took that brought values. share is the part of the call
// that one key is: 1 / batch size.
func (l *Lead) Called(took time.Duration, share float64) {
	l.calls = min(l.calls+share, meanWindow)
	l.mean += time.Duration(float64(took-l.mean) * share / l.calls)
}

// Rebuilt notes how long a rebuild took, from the first look at its key on. share is as
// in Called.
func (l *Lead) Rebuilt(took time.Duration, share float64) { l.rebuilds.add(took, share) }

// Ahead is the lead.
func (l *Lead) Ahead() time.Duration { return l.rebuilds.p99 + l.queue }

// Slowest is the time that all but one in a hundred rebuilds take; 0 before the first.
func (l *Lead) Slowest() time.Duration { return l.rebuilds.p99 }

// MeanCall is the mean time of a call to the loader; 0 before the first.
func (l *Lead) MeanCall() time.Duration { return l.mean }

// Limits are those on the calls to a loader.
type Limits struct {
	MaxConcurrent int // calls at once
	MaxPerSecond  int // calls begun per second; 0 for no limit
	BatchSize     int // keys per call
}

// Capacity is how many keys can be loaded per second; +Inf if that is not known.
func (l *Lead) Capacity(limits Limits) float64 {
	calls := math.Inf(1)
	if l.mean > 0 {
		calls = float64(limits.MaxConcurrent) / l.mean.Seconds()
	}
	if limits.MaxPerSecond > 0 {
		calls = min(calls, float64(limits.MaxPerSecond))
	}
	return calls * float64(limits.BatchSize)
}

// Foresee takes in how many keys turn stale when. A longer queue has to be seen twice,
// so that a few slow calls do not make all keys due early.
func (l *Lead) Foresee(soon *Upcoming, limits Limits, t Timing) {
	queue := soon.queue(l.Capacity(limits), t.StaleAge)
	l.queue, l.before = min(queue, l.before), queue
}

// Grown says whether the lead has become so much longer than the one with which the
// waiting keys were scheduled that they have to be scheduled again; if so, the new one
// counts as applied. A little more is what jitter is for.
func (l *Lead) Grown(t Timing) bool {
	lead := min(l.Ahead(), t.MaxLead())
	if lead-l.applied < time.Duration(jitter*float64(t.StaleAge)) {
		l.applied = min(lead, l.applied)
		return false
	}
	l.applied = lead
	return true
}

// Upcoming counts the keys by when they turn stale: in equal parts of StaleAge from now
// on. Keys that are stale already are in the first part.
type Upcoming [64]int64

// Add counts a key that turns stale after so long.
func (u *Upcoming) Add(untilStale, staleAge time.Duration) {
	if i := int64(max(0, untilStale)) / max(1, int64(staleAge)/int64(len(u))); i < int64(len(u)) {
		u[i]++
	}
}

// queue is how late the last key would be loaded, at so many per second, if each were
// begun only when it turns stale: the work grows by the keys of a part, and shrinks by
// the part's time. With that much of a lead all are in time, since they are loaded in
// the order of their expiry.
func (u *Upcoming) queue(perSecond float64, staleAge time.Duration) time.Duration {
	var late, latest float64 // in seconds
	part := staleAge.Seconds() / float64(len(u))
	for _, n := range u {
		late = max(0, late+float64(n)/perSecond-part)
		latest = max(latest, late)
	}
	return time.Duration(min(latest, staleAge.Seconds()) * float64(time.Second))
}
