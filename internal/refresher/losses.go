// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"strconv"
	"time"
)

const (
	// lossWindow is how many of the last samples count: a minute, where a lane is
	// sampled each time.
	lossWindow = 6
	// lossSamples of them have to miss more than lossShare of the keys. One alone may
	// be a FLUSHALL, or an application that cleans up.
	lossSamples = 3
	lossShare   = 0.05
)

// maxRefillPause is the longest time between two fills of keys that Redis evicts again
// and again: short enough to note within a minute that there is room for them.
const maxRefillPause = 10 * time.Second

// losses are the shares of keys that were gone though the lane thought them fresh, by
// the last samples. A key that is filled and evicted again is never late by itself.
type losses struct {
	shares [lossWindow]float64
	next   int
}

func (l *losses) add(share float64) {
	l.shares[l.next] = share
	l.next = (l.next + 1) % lossWindow
}

// constant is the mean share that is gone, if keys go again and again, else 0.
func (l *losses) constant() (share float64) {
	many, sum := 0, 0.0
	for _, s := range l.shares {
		if sum += s; s > lossShare {
			many++
		}
	}
	if many < lossSamples {
		return 0
	}
	return sum / lossWindow
}

// loss is the share of the keys that are gone, by a sample. Of keys that need not exist,
// and of those that are filled again at once as their end was heard of, only so many
// count as Redis evicted.
func (l *lane) loss(sample counts, evicted int64) float64 {
	if sample.keys == 0 {
		return 0
	}
	missing := sample.missing + sample.held
	if evicted > 0 {
		missing += sample.vanished
	}
	share := float64(missing) / float64(sample.keys)
	if vanished := min(l.account.vanished, evicted); vanished > 0 {
		share = max(share, min(1, float64(vanished)/float64(l.keys.Len())))
	}
	return share
}

// refills spreads the fills of keys that Redis evicts again and again: each of them has
// another key evicted, so that they serve nobody.
type refills struct {
	pause time.Duration // between two fills; zero while there is room
	last  time.Time     // the time of the last one that was spread
}

// at is when to fill a key that was found to be missing now.
func (r *refills) at(now time.Time) time.Time {
	if r.pause == 0 {
		return now
	}
	r.last = later(now, r.last).Add(r.pause)
	return r.last
}

// judge takes in whether keys are filled in vain, and says whether that has ended.
func (r *refills) judge(inVain bool) (ended bool) {
	if !inVain {
		ended = r.pause > 0
		*r = refills{}
		return ended
	}
	r.pause = min(maxRefillPause, max(minBackoff, 2*r.pause))
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lost takes in a sample. Where keys are filled only to be evicted, it has the lane hold
// back; once Redis evicts none any more, what was held back is filled at once.
func (l *lane) lost(sample counts, now time.Time) {
	evicted := l.srv.remembers().Evicted
	if l.account.settled {
		l.account.losses.add(l.loss(sample, evicted))
	}
	l.account.vanished = 0
	if !l.refills.judge(evicted > 0 && l.account.losses.constant() > 0) {
		return
	}
	l.account.losses = losses{}
	for id := range l.keys.All() {
		if _, waits := l.keys.Until(id); waits && l.keys.Has(id, missing) && l.failures(l.keys.Name(id)) == 0 {
			l.keys.Wait(id, now)
		}
	}
}

// evictions count the keys that a Redis evicted, over as many looks.
type evictions struct {
	looks [lossWindow + 1]int64 // the server's own count
	n     int
}

// add takes in the server's count, and returns how many of it are of the last looks. A
// count that is less than before is that of another run.
func (e *evictions) add(count int64) int64 {
	if e.n > 0 && count < e.looks[(e.n-1)%len(e.looks)] {
		e.n = 0
	}
	e.looks[e.n%len(e.looks)] = count
	e.n++
	return count - e.looks[max(0, e.n-len(e.looks))%len(e.looks)]
}

// remembers is what Redis said of its memory last.
func (s *server) remembers() *Memory {
	if m := s.memory.Load(); m != nil {
		return m
	}
	return unknownMemory
}

// unknownMemory is what is known where Redis does not tell.
var unknownMemory = &Memory{Evicted: -1}

// lookForEvictions asks Redis how many keys it has evicted, and for what.
func (s *server) lookForEvictions(ctx context.Context) {
	info, err := s.rdb.InfoMap(ctx, "stats", "memory").Result()
	if err == nil {
		if count, err := strconv.ParseInt(info["Stats"]["evicted_keys"], 10, 64); err == nil {
			s.memory.Store(&Memory{Evicted: s.evictions.add(count),
				Limit: info["Memory"]["maxmemory_human"], Policy: info["Memory"]["maxmemory_policy"]})
			return
		}
	}
	s.evictions = evictions{}
	s.memory.Store(unknownMemory)
}
