// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"math/rand/v2"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// tolerance is how far two readings of one expiry may lie apart: network and
// rounding, not a new TTL.
const tolerance = 100 * time.Millisecond

// loadedAt is when a key was last loaded, as far as that still matters; zero if it is not
// known.
func (t *Tracker) loadedAt(id schedule.ID) time.Time {
	if t.Has(id, OwnTTL) {
		return t.Expiry(id).Add(-t.conf.Timing.Expire)
	}
	if x := t.exception(id); x != nil {
		return x.loaded
	}
	return time.Time{}
}

// NotBefore is until when a key is not to be loaded again, whatever its TTL.
func (t *Tracker) NotBefore(id schedule.ID) time.Time {
	if t.Has(id, OwnTTL) {
		return t.loadedAt(id).Add(t.conf.Timing.ReloadInterval())
	}
	if x := t.exception(id); x != nil {
		return x.notBefore
	}
	return time.Time{}
}

// hasExpiry says that an expiry is known of a key.
func (t *Tracker) hasExpiry(id schedule.ID) bool { return t.Marks(id)&(Missing|Ignored) == 0 }

// expects says that a key with this TTL is as it was known to be.
func (t *Tracker) expects(id schedule.ID, ttl time.Duration, now time.Time) bool {
	return t.hasExpiry(id) && now.Add(ttl).Sub(t.Expiry(id)).Abs() < tolerance
}

// lifeEnded says that a key's life has ended, as far as is known of it.
func (t *Tracker) lifeEnded(id schedule.ID, now time.Time) bool {
	return t.hasExpiry(id) && now.After(t.Expiry(id).Add(-tolerance))
}

// noteGone counts a key that is not there: its life has ended, or else it was deleted or
// evicted.
func (t *Tracker) noteGone(id schedule.ID, now time.Time) {
	switch {
	case t.lifeEnded(id, now):
		t.opts.Observer.Expired()
	case t.hasExpiry(id):
		t.vanished++
	}
}

// setExpiry notes when a key expires, out of the queue that it is in.
func (t *Tracker) setExpiry(id schedule.ID, at time.Time) {
	t.Dequeue(id)
	t.SetExpiry(id, at)
	t.Unmark(id, Missing|Ignored)
}

// disown notes that a key has another TTL than the last load gave it.
func (t *Tracker) disown(id schedule.ID, now time.Time) {
	if !t.Has(id, OwnTTL) {
		return
	}
	if x := (exception{loaded: t.loadedAt(id), notBefore: t.NotBefore(id)}); now.Before(x.notBefore) {
		t.exceptions.set(t.Name(id), x)
	}
	t.Unmark(id, OwnTTL)
}

// reschedule schedules a key by what Redis said of its TTL.
func (t *Tracker) reschedule(id schedule.ID, ttl time.Duration, now time.Time) {
	if !t.expects(id, ttl, now) {
		t.disown(id, now)
		t.setExpiry(id, now.Add(ttl))
	}
	t.remind(id, ttl, now)
}

// remind has a key with this TTL wait until it is due.
func (t *Tracker) remind(id schedule.ID, ttl time.Duration, now time.Time) {
	t.Wait(id, t.nextLook(id, ttl, now))
}

// nextLook is when to look at a key with this TTL. This is where the lead, the jitter and
// the steps of batches make it earlier than the refresh ratio.
func (t *Tracker) nextLook(id schedule.ID, ttl time.Duration, now time.Time) time.Time {
	timing := t.conf.Timing
	lead, random, step := t.Lead.Ahead(), rand.Float64(), timing.Step(t.Len(), t.conf.BatchSize)
	if t.opts.Standby() {
		lead, random, step = 0, 0, 0
	}
	// The time that the step takes off is left out of the jitter: no key becomes due
	// before its earliest time, nor earlier on average.
	random *= 1 - step.Seconds()/timing.Jitter().Seconds()
	at := now.Add(timing.UntilDue(ttl, lead, random))
	if step > 0 && at.After(now) {
		at = at.Add(-(at.Sub(t.epoch) % step))
	}
	if notBefore := t.NotBefore(id); at.Before(notBefore) {
		at = notBefore
	}
	if t.Has(id, Demanded) {
		at = now
	}
	return at
}

// Anticipate takes in how many keys turn stale when, and makes keys due earlier that were
// scheduled before it was known how early they have to be.
func (t *Tracker) Anticipate(soon *pacing.Upcoming, limits pacing.Limits, now time.Time) {
	t.Lead.Foresee(soon, limits, t.conf.Timing)
	if !t.Lead.Grown(t.conf.Timing) {
		return
	}
	for id := range t.All() {
		at, waits := t.Until(id)
		if !waits || !t.hasExpiry(id) || t.exceptions.failing > 0 && t.Failures(t.Name(id)) > 0 {
			continue
		}
		if next := t.nextLook(id, t.Left(id, now), now); next.Before(at) {
			t.Wait(id, next)
		}
	}
}

// lose notes that a key is missing: since now, or, if its life has ended, since it became
// stale, so that a key which is late stays so.
func (t *Tracker) lose(id schedule.ID, now time.Time) {
	if t.Has(id, Missing) {
		return
	}
	t.noteGone(id, now)
	since := now
	if t.lifeEnded(id, now) {
		since = t.Expiry(id).Add(t.conf.Timing.StaleAge - t.conf.Timing.Expire)
	}
	t.disown(id, now)
	t.Dequeue(id)
	t.SetExpiry(id, since)
	t.Mark(id, Missing)
	t.Unmark(id, Ignored)
}

// ignore leaves a key alone, until a later look finds it otherwise.
func (t *Tracker) ignore(id schedule.ID, now time.Time) {
	t.disown(id, now)
	t.Dequeue(id)
	t.SetExpiry(id, now)
	t.Mark(id, Ignored)
	t.Unmark(id, Missing)
	t.tried(id)
	t.Wait(id, now.Add(max(t.conf.Timing.StaleAge, time.Second)))
}

// retry has a key wait after a failure.
func (t *Tracker) retry(id schedule.ID, key string, now time.Time) {
	t.exceptions.fail(key)
	t.Wait(id, now.Add(t.conf.Timing.Backoff(t.Failures(key), rand.Float64())))
}

// FillHeldBack has keys filled at once whose fill was held back.
func (t *Tracker) FillHeldBack(now time.Time) {
	for id := range t.All() {
		if _, waits := t.Until(id); waits && t.Has(id, Missing) && t.Failures(t.Name(id)) == 0 {
			t.Wait(id, now)
		}
	}
}
