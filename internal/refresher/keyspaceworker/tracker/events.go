// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// maxMissed is how many keys that the loader does not know are remembered, and
// how many keys may be filled for their misses in a second.
const maxMissed = 1 << 14

// admission bounds the cost of misses: no more than half of the loads at once are for
// them, since they add to what has to be kept fresh.
func admission(conf Config) *watch.Admission {
	interval := conf.Timing.ReloadInterval()
	return watch.NewAdmission(watch.AdmissionConfig{
		Interval: interval, Pause: min(interval, time.Second), Limit: maxMissed,
		Pending: max(1, conf.MaxConcurrent*conf.BatchSize/2),
	})
}

// Heard begins the fills that misses are worth, and says of which keys Redis is to be
// asked: events are hints.
func (t *Tracker) Heard(events []watch.Event, now time.Time) (ask []string) {
	for _, e := range events {
		if !t.owns(e.Key) {
			continue
		}
		if e.Kind.Has(watch.Missed) {
			t.missed(e.Key, now)
		}
		id := t.Find(e.Key)
		switch {
		case id != 0 && t.Has(id, Busy):
		case e.Kind.Has(watch.Gone) && id != 0, e.Kind.Has(watch.Created) && (id != 0 || !t.conf.Kept):
			ask = append(ask, e.Key)
		}
	}
	return ask
}

// missed has a key loaded that a reader has missed. It waits its turn as though it
// had just become due: what would expire sooner goes before it.
func (t *Tracker) missed(key string, now time.Time) {
	id := t.Find(key)
	switch {
	case !t.conf.FillMissed:
		return
	case id == 0 && t.conf.Kept: // not named
		return
	case id != 0 && (t.Marks(id)&(Busy|Awaited) != 0 || t.Failures(key) > 0): // it will be tried anyway
		return
	case !t.admission.Admit(key, now):
		return
	}
	if id == 0 {
		if id = t.track(key); id == 0 {
			t.admission.Done(key, false, now)
			return
		}
		t.See(id, t.listings.last) // a listing will not
		t.SetExpiry(id, now.Add(t.conf.Timing.Expire-t.conf.Timing.StaleAge))
	}
	t.Mark(id, Awaited)
	t.Wait(id, now)
}

// missAnswered ends what a miss began, and says whether the key is to be forgotten:
// it is not there, and nobody but that reader wanted it.
func (t *Tracker) missAnswered(id schedule.ID, r rebuild.Result, now time.Time) (forget bool) {
	if !r.Missed {
		return false
	}
	t.Unmark(id, Awaited)
	switch r.Outcome {
	case rebuild.Committed, rebuild.Changed, rebuild.NotDue:
		t.admission.Done(r.Key, true, now)
		return false
	}
	t.admission.Done(r.Key, false, now)
	return !t.conf.Kept && r.TTL < 0
}
