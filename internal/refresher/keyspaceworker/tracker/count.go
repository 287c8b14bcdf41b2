// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// Counts are keys by how they stand. Keys = Fresh + Stale + Missing.
type Counts struct {
	Keys, Fresh, Stale, Missing, Late, Ignored int64

	Queued int64 // due, but not begun

	Nearest    time.Duration // life left to the key that expires first; if
	HasNearest bool          // there is one

	Oldest time.Time // when the oldest value was written; zero without keys
}

// Count counts all keys by what is known of them, and by when they turn stale.
func (t *Tracker) Count(now time.Time) (c Counts, soon pacing.Upcoming) {
	timing := t.conf.Timing
	first := time.Duration(math.MaxInt64)
	for id := range t.All() {
		marks := t.Marks(id)
		if marks&Ignored != 0 {
			c.Ignored++
			continue
		}
		c.Keys++
		if t.Queued(id, now) {
			c.Queued++
		}
		left := t.Left(id, now)
		overdue := -timing.UntilStale(left)
		soon.Add(-overdue, timing.StaleAge)
		switch {
		case marks&Missing != 0:
			overdue = -left
			c.Missing++
		case left <= 0:
			c.Missing++
		case overdue <= 0:
			c.Fresh++
		default:
			c.Stale++
		}
		if marks&Missing == 0 {
			if !c.HasNearest || left < c.Nearest {
				c.Nearest, c.HasNearest = left, true
			}
			if left > 0 {
				first = min(first, left)
			}
		}
		if overdue > timing.Grace {
			c.Late++
		}
	}
	if first < math.MaxInt64 {
		c.Oldest = now.Add(first - timing.Expire)
	}
	return c, soon
}

// Sample counts the keys of a sample that Redis has otherwise than they were believed to
// be: fresh. What is known to be stale or missing is counted without a sample.
type Sample struct {
	Keys, Stale int64
	Missing     int64 // kept keys that are not there
	Vanished    int64 // others that are not there
	HeldBack    int64 // missing, as filling them would only have others evicted
}

// Surprises counts the surprises of a sample.
func (t *Tracker) Surprises(said []discover.Found) (s Sample) {
	for _, f := range said {
		id := t.Find(f.Key)
		if id == 0 || t.Marks(id)&(Busy|Ignored) != 0 || !f.At.After(t.loadedAt(id)) {
			continue
		}
		s.Keys++
		believed := !t.Has(id, Missing) && t.conf.Timing.UntilStale(t.Expiry(id).Sub(f.At)) > 0
		switch {
		case f.TTL != discover.Missing:
			if believed && f.TTL != discover.NoExpiry && t.conf.Timing.UntilStale(f.TTL) < 0 {
				s.Stale++
			}
		case !believed && t.Refills.Spread():
			s.HeldBack++
		case !believed:
		case t.conf.Kept:
			s.Missing++
		default:
			s.Vanished++
		}
	}
	return s
}

// Corrected adds to counts what a sample says of the keys outside of it. A sample of all
// keys has already corrected what is known of them.
func (c Counts) Corrected(s Sample) Counts {
	if s.Keys == 0 || c.Keys <= s.Keys {
		return c
	}
	scale := float64(c.Keys) / float64(s.Keys)
	share := func(n int64) int64 { return min(c.Fresh, int64(math.Round(float64(n)*scale))) }
	missing := share(s.Missing)
	c.Fresh, c.Missing = c.Fresh-missing, c.Missing+missing
	stale := share(s.Stale)
	c.Fresh, c.Stale = c.Fresh-stale, c.Stale+stale
	return c
}

// Loss is the share of the keys that are gone, by a sample and by the events since the
// one before. Of keys that need not exist, and of those that are filled again at once as
// their end was heard of, only as many count as Redis evicted.
func (t *Tracker) Loss(s Sample, evicted int64) (share float64) {
	vanished := t.vanished
	t.vanished = 0
	if s.Keys == 0 {
		return 0
	}
	missing := s.Missing + s.HeldBack
	if evicted > 0 {
		missing += s.Vanished
	}
	share = float64(missing) / float64(s.Keys)
	if vanished := min(vanished, evicted); vanished > 0 {
		share = max(share, min(1, float64(vanished)/float64(t.Len())))
	}
	return share
}

// Pick returns up to n different keys, each as likely as any other.
// Source: Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", 1987).
func (t *Tracker) Pick(n int) []string {
	all := t.Len()
	chosen := make(map[int]bool, n)
	keys := make([]string, 0, n)
	for j := max(0, all-n); j < all; j++ {
		i := rand.IntN(j + 1)
		if chosen[i] {
			i = j
		}
		chosen[i] = true
		keys = append(keys, t.Name(schedule.ID(i+1)))
	}
	return keys
}

// lateInCycle is the share of StaleAge after which hardly anybody will read a key who has
// not read it by then.
const lateInCycle = 0.75

// NearlyDue are those of a sample that will soon be refreshed, so that it can be told
// whether their last refresh was wasted. step is how exactly it is known when a key was
// read.
func NearlyDue(t pacing.Timing, said []discover.Found, step time.Duration) (some []discover.Found) {
	from := time.Duration(lateInCycle * float64(t.StaleAge))
	if t.StaleAge-from < step {
		return nil
	}
	for _, f := range said {
		if age := t.Expire - f.TTL; f.TTL > 0 && age >= from && age <= t.StaleAge {
			some = append(some, f)
		}
	}
	return some
}

// Known is what is known of one key.
type Known struct {
	Tracked  bool
	Busy     bool      // it is being rebuilt
	LoadedAt time.Time // the last load; zero if it is not known, or an application wrote the key since
	Failures int       // in a row
	NextLook time.Time // when it is due to be looked at; zero if it is busy
}

// Known tells what is known of a key at a time.
func (t *Tracker) Known(key string, now time.Time) Known {
	id := t.Find(key)
	if id == 0 {
		return Known{}
	}
	k := Known{Tracked: true, Busy: t.Has(id, Busy), LoadedAt: t.loadedAt(id), Failures: t.Failures(key)}
	if k.Busy {
		return k
	}
	at, waits := t.Until(id)
	if !waits {
		at = now // it is due
	}
	k.NextLook = at
	return k
}
