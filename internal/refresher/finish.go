// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"math/rand/v2"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// listing begins a listing. Two may meet while a password is changed: then the
// later one counts.
func (l *lane) listing(pass uint64) {
	if pass > l.pass {
		l.pass = pass
		l.seen++
	}
}

// found takes in what Redis said of keys. pass is the listing that it came
// from, or 0 if it was asked about these keys alone.
func (l *lane) found(items []discover.Found, pass uint64) {
	for _, f := range items {
		if !l.eng.opts.Owns(f.Key) {
			continue
		}
		id := l.keys.Find(f.Key)
		switch {
		case f.TTL == discover.Missing && !l.set.kept():
			if id != 0 && !l.keys.Has(id, busy) && f.At.After(l.loaded(id)) {
				l.noteGone(id, f.At)
				l.forget(id)
			}
			continue
		case f.TTL == discover.NoExpiry && id == 0 && !l.set.kept():
			l.account.untracked(pass) // bounded memory: only counted
			continue
		case id == 0:
			if id = l.track(f.Key); id == 0 {
				l.account.refused(pass)
				continue
			}
		}
		if pass == 0 || pass == l.pass {
			l.keys.See(id, l.seen)
		}
		l.takeIn(id, f)
	}
}

// takeIn compares what Redis said of a key with what is known of it. One that was
// written since it failed does so no more: it is not soon to be tried again.
func (l *lane) takeIn(id schedule.ID, f discover.Found) {
	if l.keys.Has(id, busy) || !f.At.After(l.loaded(id)) {
		return // it speaks of the value before
	}
	queued := !l.keys.Resting(id)
	switch {
	case f.TTL == discover.Missing:
		if !l.keys.Has(id, missing) {
			l.lose(id, f.At)
			l.keys.Wait(id, l.refills.at(f.At))
		}
	case f.TTL == discover.NoExpiry:
		l.forgive(f.Key, f.At)
		l.ignore(id, f.At)
	case queued && l.keys.Has(id, ignored): // a TTL says nothing of its type; the next look will
	case !queued || !l.expects(id, f.TTL, f.At):
		l.forgive(f.Key, f.At)
		l.reschedule(id, f.TTL, f.At)
	}
}

// listed ends a listing: what it did not see is not there any more.
func (l *lane) listed(pass uint64, run string, now time.Time) {
	if pass == l.pass {
		for id := range l.keys.All() {
			if l.keys.Seen(id) != l.seen && !l.keys.Has(id, busy) {
				l.noteGone(id, now)
				l.forget(id)
			}
		}
	}
	l.account.listed(pass, run, now)
	l.force.start(l, now)
	l.report(now)
}

// finish takes in what became of a rebuild.
func (l *lane) finish(r result, now time.Time) {
	id := l.keys.FindAgain(r.key, r.id)
	l.inFlight--
	l.keys.Unmark(id, busy)
	if r.ttl > 0 || r.outcome == changed { // a listing may have passed its place before it was there
		l.keys.See(id, l.seen)
	}
	if r.failure != nil {
		l.account.lastFailure = r.failure
	}
	l.metrics.observe(r)
	l.recent.note(r, now)
	l.judge(r, now)
	if r.token == l.force.token && r.tried() {
		l.force.tried(l, id)
	}
	if l.answered(r, now) {
		l.forget(id)
		return
	}
	l.next(id, r, now)
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

// judge keeps the breaker, and what is expected of the loader. A failure says
// nothing of how long a value takes to come, but for a timeout among successes:
// it takes that long at least.
func (l *lane) judge(r result, now time.Time) {
	switch r.outcome {
	case committed, changed:
		l.lead.called(r.took, l.share())
		l.took(r, now)
		l.breaker.succeeded()
		l.account.loads.Succeeded++
	case deleted, notFound:
		l.breaker.succeeded()
		l.account.loads.Succeeded++
	case failed:
		l.breaker.failed(r.call, l.failures(r.key) == 0, !r.redis)
		if !r.redis {
			l.account.loads.Failed++
		}
		if r.noValue == loader.Timeout && !l.breaker.down(l) {
			l.took(r, now)
		}
		if over := l.breaker.over(l); over > 0 {
			l.breaker.pause(now, min(maxPause, l.set.timing.backoff(over, rand.Float64())))
		}
		l.breaker.asks(now, r.after, l.set.timing.grace)
	}
}

// took notes how long a rebuild took from the first look on.
func (l *lane) took(r result, now time.Time) {
	l.lead.rebuilds.add(now.Sub(r.looked), l.share())
}

// share is which part of a call to the loader one key is.
func (l *lane) share() float64 { return 1 / float64(l.set.loader.BatchSize()) }

// next schedules the key's next look.
func (l *lane) next(id schedule.ID, r result, now time.Time) {
	if r.took > 0 && r.outcome != committed {
		l.keys.Unmark(id, ours)
		l.except(r.key, exception{failures: l.failures(r.key), loaded: now, rests: now.Add(r.rest), suspect: r.suspect})
	}
	switch r.outcome {
	case failed, lost, notFound:
		if r.ttl < 0 {
			l.lose(id, now)
		}
		l.retry(id, r.key, now)
		return
	case deleted:
		l.deleted(id, r.key, now)
		return
	case held:
		l.keys.Wait(id, now.Add(l.set.timing.whileHeld(l.eng.opts.Lease, rand.Float64())))
		return
	}
	l.forgive(r.key, now)
	switch r.outcome {
	case committed:
		l.account.lastRefresh = now
		if !l.keys.Has(id, missing) {
			if r.fill {
				l.noteGone(id, now)
			}
			l.metrics.refreshed(-l.set.timing.untilStale(l.keys.Expiry(id).Sub(now)))
		}
		l.commit(id, r, now)
	case notDue:
		l.reschedule(id, r.ttl, now)
	case gone:
		l.noteGone(id, now)
		l.forget(id)
	case changed, aborted:
		l.keys.Wait(id, now)
	case ignoring:
		l.ignore(id, now)
	}
}

// deleted takes in that a key was deleted because the loader does not know it.
func (l *lane) deleted(id schedule.ID, key string, now time.Time) {
	if !l.set.kept() {
		l.forget(id)
		return
	}
	l.lose(id, now)
	l.retry(id, key, now)
}

func (l *lane) retry(id schedule.ID, key string, now time.Time) {
	l.fail(key)
	l.keys.Wait(id, now.Add(l.set.timing.backoff(l.failures(key), rand.Float64())))
}
