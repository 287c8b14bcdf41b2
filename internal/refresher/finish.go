// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"math/rand/v2"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
)

// found takes in what Redis said of keys. pass is the listing that it came
// from, or 0 for a sample.
func (l *lane) found(items []discover.Found, pass uint64) {
	for _, f := range items {
		if !l.eng.opts.Owns(f.Key) {
			continue
		}
		e := l.keys[f.Key]
		switch {
		case f.TTL == discover.Missing && !l.set.kept():
			if e != nil && !e.busy && f.At.After(e.loaded) {
				l.noteExpired(e, f.At)
				l.forget(e)
			}
			continue
		case f.TTL == discover.NoExpiry && e == nil && !l.set.kept():
			l.account.untracked(pass) // bounded memory: only counted
			continue
		case e == nil:
			e = l.track(f.Key)
		}
		e.pass = max(e.pass, pass)           // two listings may meet while a password is changed
		if !e.busy && f.At.After(e.loaded) { // else it speaks of the value before
			l.takeIn(e, f)
		}
	}
}

// takeIn compares what Redis said of a key with what is known of it.
func (l *lane) takeIn(e *entry, f discover.Found) {
	switch {
	case f.TTL == discover.Missing:
		if e.missing.IsZero() {
			l.lose(e, f.At)
			l.lookAgain(e, f.At)
		}
	case f.TTL == discover.NoExpiry:
		l.ignore(e, f.At)
	case e.ignored && e.queue != nil: // a TTL says nothing of its type; the next look will
	default:
		expiry := f.At.Add(f.TTL)
		known := !e.expiry.IsZero() && expiry.Sub(e.expiry).Abs() < tolerance
		if e.queue == nil || !known {
			l.reschedule(e, f.TTL, f.At)
		}
	}
}

// tolerance is how far two readings of one expiry may lie apart: network and
// rounding, not a new TTL.
const tolerance = 100 * time.Millisecond

// lose notes that a key is missing: since now, or, if its lifetime has ended,
// since it became stale, so that a key which is late stays so.
func (l *lane) lose(e *entry, now time.Time) {
	if e.missing.IsZero() {
		l.noteExpired(e, now)
		e.missing = now
		if e.expired(now) {
			e.missing = e.expiry.Add(l.set.timing.staleAge - l.set.timing.expire)
		}
	}
	e.expiry, e.ignored = time.Time{}, false
}

// ignore leaves a key alone, until a later look finds it otherwise.
func (l *lane) ignore(e *entry, now time.Time) {
	e.ignored, e.expiry, e.missing = true, time.Time{}, time.Time{}
	l.force.tried(e)
	l.lookAgain(e, now.Add(max(l.set.timing.staleAge, time.Second)))
}

// listed ends a listing: what it did not see is not there any more.
func (l *lane) listed(pass uint64, run string, now time.Time) {
	for i := len(l.all) - 1; i >= 0; i-- {
		if e := l.all[i]; e.pass < pass && !e.busy {
			l.noteExpired(e, now)
			l.forget(e)
		}
	}
	l.account.listed(pass, run, now)
	l.force.start(l, now)
	l.report(now)
}

// finish takes in what became of a rebuild.
func (l *lane) finish(r result, now time.Time) {
	e := r.entry
	l.inFlight--
	e.busy = false
	if r.took > 0 {
		e.loaded, e.rests = now, now.Add(r.rest)
	}
	if r.failure != nil {
		l.account.lastFailure = r.failure
	}
	l.metrics.observe(r)
	l.recent.note(r, now)
	l.judge(r, now)
	if r.token == l.force.token && r.tried() {
		l.force.tried(e)
	}
	l.next(e, r, now)
	l.report(now)
}

// tried says whether a forced rebuild has done what was asked for. What the
// application wrote or deleted meanwhile is newer than the request.
func (r result) tried() bool {
	switch r.outcome {
	case held, aborted, lost:
		return false
	case failed:
		return !r.redis
	}
	return true
}

// judge keeps the breaker and the expected load time.
func (l *lane) judge(r result, now time.Time) {
	switch r.outcome {
	case committed, changed:
		l.lead.add(r.took)
		l.breaker.succeeded()
		l.account.loads.Succeeded++
	case deleted, notFound:
		l.breaker.succeeded()
		l.account.loads.Succeeded++
	case failed:
		l.breaker.failed(r.entry.failures == 0, !r.redis)
		if !r.redis {
			l.account.loads.Failed++
		}
		if over := l.breaker.over(l); over > 0 {
			l.breaker.pause(now, min(maxPause, l.set.timing.backoff(over, rand.Float64())))
		}
		l.breaker.pause(now, min(r.after, l.set.timing.staleAge))
	}
}

// next schedules the key's next look.
func (l *lane) next(e *entry, r result, now time.Time) {
	switch r.outcome {
	case failed, lost, notFound:
		if r.ttl < 0 {
			l.lose(e, now)
		}
		l.retry(e, now)
		return
	case deleted:
		l.deleted(e, now)
		return
	case held:
		l.lookAgain(e, now.Add(l.set.timing.whileHeld(l.eng.opts.Lease, rand.Float64())))
		return
	}
	l.failures(e, 0)
	switch r.outcome {
	case committed:
		l.account.lastRefresh = now
		if e.missing.IsZero() {
			if r.fill {
				l.noteExpired(e, now)
			}
			l.metrics.refreshed(-l.set.timing.untilStale(e.expiry.Sub(now)))
		}
		l.reschedule(e, r.ttl, now)
	case notDue:
		l.reschedule(e, r.ttl, now)
	case gone:
		l.noteExpired(e, now)
		l.forget(e)
	case changed, aborted:
		l.lookAgain(e, now)
	case ignored:
		l.ignore(e, now)
	}
}

// deleted takes in that a key was deleted because the loader does not know it.
func (l *lane) deleted(e *entry, now time.Time) {
	if !l.set.kept() {
		l.forget(e)
		return
	}
	l.lose(e, now)
	l.retry(e, now)
}

// expired says that a key's lifetime is over, as far as is known of it.
func (e *entry) expired(now time.Time) bool {
	return !e.expiry.IsZero() && now.After(e.expiry.Add(-tolerance))
}

// noteExpired counts a key that is not there, if its lifetime is over: else it
// was deleted.
func (l *lane) noteExpired(e *entry, now time.Time) {
	if e.missing.IsZero() && e.expired(now) {
		l.metrics.expired()
	}
}

func (l *lane) retry(e *entry, now time.Time) {
	l.failures(e, e.failures+1)
	l.lookAgain(e, now.Add(l.set.timing.backoff(e.failures, rand.Float64())))
}
