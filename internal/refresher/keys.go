// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// What is known of a key, beside its expiry by the local clock: hints that Redis
// is asked about again.
const (
	missing schedule.Marks = 1 << iota // its expiry is the time since when
	ignored                            // no string, or without expiry; or nothing is known yet
	busy                               // being rebuilt
	forced                             // to be rebuilt whatever its age
	ours                               // it has the lifetime that its last load gave it
	wanted                             // a reader has missed it
)

// exception is what only few keys have: those whose last load failed, and those
// that got another lifetime soon after it. Of a key that is ours, its expiry
// tells the same.
type exception struct {
	failures int       // in a row
	loaded   time.Time // the last load; zero before the first
	rests    time.Time // not loaded again before, whatever its TTL
	suspect  bool      // the key itself may be why its batch failed
}

// exception is that of a key, or nil.
func (l *lane) exception(id schedule.ID) *exception {
	if len(l.odd) == 0 {
		return nil
	}
	return l.odd[l.keys.Name(id)]
}

// loaded is when a key was last loaded, as far as that still matters.
func (l *lane) loaded(id schedule.ID) time.Time {
	if l.keys.Has(id, ours) {
		return l.keys.Expiry(id).Add(-l.set.Expire)
	}
	if x := l.exception(id); x != nil {
		return x.loaded
	}
	return time.Time{}
}

// rests is until when a key is not to be loaded again, whatever its TTL.
func (l *lane) rests(id schedule.ID) time.Time {
	if l.keys.Has(id, ours) {
		return l.loaded(id).Add(l.set.timing.interval())
	}
	if x := l.exception(id); x != nil {
		return x.rests
	}
	return time.Time{}
}

// except notes of a key what its expiry does not tell.
func (l *lane) except(key string, x exception) {
	l.unexcept(key)
	if x.failures > 0 {
		l.failing++
	}
	l.odd[strings.Clone(key)] = &x // alone: a key that was taken shares its memory with others
}

func (l *lane) unexcept(key string) {
	if x := l.odd[key]; x != nil {
		if x.failures > 0 {
			l.failing--
		}
		delete(l.odd, key)
	}
}

// failures is how often the rebuild of a key has failed in a row.
func (l *lane) failures(key string) int {
	if x := l.odd[key]; x != nil {
		return x.failures
	}
	return 0
}

// most is how many keys may be asked for together with a key: after failures for
// which it may be the reason, fewer each time, until it harms but itself.
func (l *lane) most(id schedule.ID) int {
	size := l.set.loader.BatchSize()
	if x := l.exception(id); x != nil && x.suspect {
		return max(1, size>>min(x.failures, 16))
	}
	return size
}

// fail counts a failure.
func (l *lane) fail(key string) {
	var x exception
	if was := l.odd[key]; was != nil {
		x = *was
	}
	x.failures++
	l.except(key, x)
}

// forgive forgets failures, and what has lost its meaning with the time.
func (l *lane) forgive(key string, now time.Time) {
	if x := l.odd[key]; x != nil {
		if loaded, rests := x.loaded, x.rests; now.Before(rests) {
			l.except(key, exception{loaded: loaded, rests: rests})
		} else {
			l.unexcept(key)
		}
	}
}

// disown notes that a key has another lifetime than the last load gave it.
func (l *lane) disown(id schedule.ID, now time.Time) {
	if !l.keys.Has(id, ours) {
		return
	}
	if x := (exception{loaded: l.loaded(id), rests: l.rests(id)}); now.Before(x.rests) {
		l.except(l.keys.Name(id), x)
	}
	l.keys.Unmark(id, ours)
}

// track takes in a key of which nothing is known yet; 0 if there is no room for it.
func (l *lane) track(key string) schedule.ID {
	if !l.tenant.admit() {
		return 0
	}
	id := l.keys.Add(key)
	l.keys.Mark(id, ignored)
	l.keys.See(id, l.seen-1)
	return id
}

func (l *lane) forget(id schedule.ID) {
	if len(l.odd) > 0 {
		l.unexcept(l.keys.Name(id))
	}
	l.force.tried(l, id)
	if l.keys.Has(id, wanted) {
		l.admission.Done(l.keys.Name(id), false, time.Now())
	}
	l.keys.Remove(id)
	l.tenant.keys.Add(-1)
}

// tolerance is how far two readings of one expiry may lie apart: network and
// rounding, not a new TTL.
const tolerance = 100 * time.Millisecond

// expects says that a key with this TTL is as it was known to be.
func (l *lane) expects(id schedule.ID, ttl time.Duration, now time.Time) bool {
	return l.keys.Marks(id)&(missing|ignored) == 0 && now.Add(ttl).Sub(l.keys.Expiry(id)).Abs() < tolerance
}

// expired says that a key's lifetime is over, as far as is known of it.
func (l *lane) expired(id schedule.ID, now time.Time) bool {
	return l.keys.Marks(id)&(missing|ignored) == 0 && now.After(l.keys.Expiry(id).Add(-tolerance))
}

// noteGone counts a key that is not there: its lifetime is over, or else it was
// deleted or evicted.
func (l *lane) noteGone(id schedule.ID, now time.Time) {
	switch {
	case l.expired(id, now):
		l.metrics.expired()
	case l.keys.Marks(id)&(missing|ignored) == 0:
		l.account.vanished++
	}
}

// expires notes a key's lifetime.
func (l *lane) expires(id schedule.ID, at time.Time) {
	l.keys.Rest(id)
	l.keys.SetExpiry(id, at)
	l.keys.Unmark(id, missing|ignored)
}

// reschedule schedules a key by what Redis said of its TTL.
func (l *lane) reschedule(id schedule.ID, ttl time.Duration, now time.Time) {
	if !l.expects(id, ttl, now) {
		l.disown(id, now)
		l.expires(id, now.Add(ttl))
	}
	l.remind(id, ttl, now)
}

// commit schedules a key that was just written.
func (l *lane) commit(id schedule.ID, r result, now time.Time) {
	l.expires(id, now.Add(r.ttl))
	if r.ttl == l.set.Expire {
		l.unexcept(r.key)
		l.keys.Mark(id, ours)
	} else { // by former settings
		l.except(r.key, exception{loaded: now, rests: now.Add(r.rest)})
	}
	l.remind(id, r.ttl, now)
}

func (l *lane) remind(id schedule.ID, ttl time.Duration, now time.Time) {
	l.keys.Wait(id, l.comes(id, ttl, now))
}

// comes is when to look at a key with this TTL.
func (l *lane) comes(id schedule.ID, ttl time.Duration, now time.Time) time.Time {
	t := l.set.timing
	lead, random, step := l.lead.ahead(), rand.Float64(), t.step(l.keys.Len(), l.set.loader.BatchSize())
	if l.eng.opts.Standby() {
		lead, random, step = 0, 0, 0
	}
	// What the step takes off is left out of the jitter: no key comes before its
	// earliest time, nor earlier on average.
	random *= 1 - step.Seconds()/t.jitter().Seconds()
	at := now.Add(t.untilDue(ttl, lead, random))
	if step > 0 && at.After(now) {
		at = at.Add(-(at.Sub(l.epoch) % step))
	}
	if rests := l.rests(id); at.Before(rests) {
		at = rests
	}
	if l.keys.Has(id, forced) {
		at = now
	}
	return at
}

// anticipate has keys come earlier that were scheduled before it was known how
// early they have to. Not for a little more: that is what jitter is for.
func (l *lane) anticipate(soon upcoming, now time.Time) {
	t := l.set.timing
	l.lead.foresee(soon, l.set)
	lead := min(l.lead.ahead(), t.maxLead())
	if more := lead - l.lead.applied; more < time.Duration(jitter*float64(t.staleAge)) {
		l.lead.applied = min(lead, l.lead.applied)
		return
	}
	l.lead.applied = lead
	for id := range l.keys.All() {
		at, waits := l.keys.Until(id)
		if !waits || l.keys.Marks(id)&(missing|ignored) != 0 || l.failing > 0 && l.failures(l.keys.Name(id)) > 0 {
			continue
		}
		if comes := l.comes(id, l.keys.Left(id, now), now); comes.Before(at) {
			l.keys.Wait(id, comes)
		}
	}
}

// lose notes that a key is missing: since now, or, if its lifetime has ended,
// since it became stale, so that a key which is late stays so.
func (l *lane) lose(id schedule.ID, now time.Time) {
	if l.keys.Has(id, missing) {
		return
	}
	l.noteGone(id, now)
	since := now
	if l.expired(id, now) {
		since = l.keys.Expiry(id).Add(l.set.timing.staleAge - l.set.timing.expire)
	}
	l.disown(id, now)
	l.keys.Rest(id)
	l.keys.SetExpiry(id, since)
	l.keys.Mark(id, missing)
	l.keys.Unmark(id, ignored)
}

// ignore leaves a key alone, until a later look finds it otherwise.
func (l *lane) ignore(id schedule.ID, now time.Time) {
	l.disown(id, now)
	l.keys.Rest(id)
	l.keys.SetExpiry(id, now)
	l.keys.Mark(id, ignored)
	l.keys.Unmark(id, missing)
	l.force.tried(l, id)
	l.keys.Wait(id, now.Add(max(l.set.timing.staleAge, time.Second)))
}
