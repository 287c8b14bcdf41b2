// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package pacing

import "time"

// LossWindow is how many of the last samples count as losses: a minute, where a keyspace
// is sampled each time.
const LossWindow = 6

const (
	// lossSamples of the window have to miss more than lossShare of the keys. One alone
	// may be a FLUSHALL, or an application that cleans up.
	lossSamples = 3
	lossShare   = 0.05
)

// maxRefillPause is the longest time between two fills of keys that Redis evicts again
// and again: short enough to note within a minute that there is room for them.
const maxRefillPause = 10 * time.Second

// Losses are the shares of keys that were gone though they were thought fresh, by the
// last samples. A key that is filled and evicted again is never late by itself.
type Losses struct {
	shares [LossWindow]float64
	next   int
}

// Add takes in the share of one sample.
func (l *Losses) Add(share float64) {
	l.shares[l.next] = share
	l.next = (l.next + 1) % LossWindow
}

// Constant is the mean share that is gone, if keys go again and again, else 0.
func (l *Losses) Constant() float64 {
	many, sum := 0, 0.0
	for _, s := range l.shares {
		if sum += s; s > lossShare {
			many++
		}
	}
	if many < lossSamples {
		return 0
	}
	return sum / LossWindow
}

// Refills spread the fills of keys that Redis evicts again and again: each of them has
// another key evicted, so that they serve nobody.
type Refills struct {
	pause time.Duration // between two fills; 0 while there is room
	last  time.Time     // the time of the last fill that was spread
}

// At is when to fill a key that was found to be missing now.
func (r *Refills) At(now time.Time) time.Time {
	if r.pause == 0 {
		return now
	}
	if r.last.Before(now) {
		r.last = now
	}
	r.last = r.last.Add(r.pause)
	return r.last
}

// Spread says that fills are held back.
func (r *Refills) Spread() bool { return r.pause > 0 }

// Sampled takes in, once a sample, whether keys are filled in vain, and says whether
// that has ended.
func (r *Refills) Sampled(inVain bool) (ended bool) {
	if !inVain {
		ended = r.pause > 0
		*r = Refills{}
		return ended
	}
	r.pause = min(maxRefillPause, max(MinBackoff, 2*r.pause))
	return false
}
