// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// subscribe sets what is to be heard of, and returns when that is heard of, or
// cannot be, so that a listing which begins then misses nothing.
func (s *server) subscribe(ctx context.Context) {
	var interests []watch.Interest
	var index keyspace.Index[*lane]
	for _, l := range s.attached() {
		if set := l.view.Load().set; set.KeyEvents != Off {
			index.Add(set.template, l)
			interests = append(interests, watch.Interest{Prefix: set.template.Prefix(),
				Misses: set.OnMiss == Rebuild, Configure: set.KeyEvents == Configure})
		}
	}
	s.listeners.Store(&index)
	s.watch.Watch(interests)
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	s.watch.Ready(ctx)
}

// heard takes in key events. They are hints: what Redis says of a key counts.
func (s *server) heard(ctx context.Context, events []watch.Event) {
	shares := map[*lane][]watch.Event{}
	for _, e := range events {
		for _, l := range s.listeners.Load().Find(e.Key) {
			shares[l] = append(shares[l], e)
			break
		}
	}
	for l, share := range shares {
		var ask []string
		if err := l.wait(ctx, func() { ask = l.heard(share, time.Now()) }); err != nil || len(ask) == 0 {
			continue
		}
		err := discover.Inspect(ctx, s.rdb, ask, l.told)
		if err != nil && ctx.Err() == nil {
			s.suspect(err)
			s.wantList.Set() // it will find them
		}
	}
}

// heard begins what misses are worth, and says of which keys Redis is to be asked.
func (l *lane) heard(events []watch.Event, now time.Time) (ask []string) {
	for _, e := range events {
		if !l.eng.opts.Owns(e.Key) {
			continue
		}
		if e.Kind.Has(watch.Missed) {
			l.missed(e.Key, now)
		}
		id := l.keys.Find(e.Key)
		switch {
		case id != 0 && l.keys.Has(id, busy):
		case e.Kind.Has(watch.Gone) && id != 0, e.Kind.Has(watch.Created) && (id != 0 || !l.set.kept()):
			ask = append(ask, e.Key)
		}
	}
	return ask
}

// maxMissed is how many keys that the loader does not know are remembered, and
// how many keys may be filled for their misses in a second.
const maxMissed = 1 << 14

// admission bounds what misses cost: no more than half of the loads at once are
// for them, since they add to what has to be kept fresh.
func admission(set *settings) *watch.Admission {
	interval := set.timing.interval()
	return watch.NewAdmission(watch.AdmissionConfig{
		Interval: interval, Pause: min(interval, time.Second), Limit: maxMissed,
		Pending: max(1, set.MaxConcurrent*set.loader.BatchSize()/2),
	})
}

// missed has a key loaded that a reader has missed. It waits its turn as though it
// had just become due: what would expire sooner goes before it.
func (l *lane) missed(key string, now time.Time) {
	id := l.keys.Find(key)
	switch {
	case l.set.OnMiss != Rebuild || l.draining:
		return
	case id == 0 && l.set.kept(): // not named
		return
	case id != 0 && (l.keys.Marks(id)&(busy|wanted) != 0 || l.failures(key) > 0): // a try is to come
		return
	case !l.admission.Admit(key, now):
		return
	}
	if id == 0 {
		if id = l.track(key); id == 0 {
			l.admission.Done(key, false, now)
			return
		}
		l.keys.See(id, l.seen) // a listing will not
		l.keys.SetExpiry(id, now.Add(l.set.Expire-l.set.DueAfter))
	}
	l.keys.Mark(id, wanted)
	l.keys.Wait(id, now)
}

// answered ends what a miss began, and says whether the key is to be forgotten:
// it is not there, and nobody but that reader wanted it.
func (l *lane) answered(r result, now time.Time) (forget bool) {
	if !r.missed {
		return false
	}
	l.keys.Unmark(l.keys.Find(r.key), wanted)
	switch r.outcome {
	case committed, changed, notDue:
		l.admission.Done(r.key, true, now)
		return false
	}
	l.admission.Done(r.key, false, now)
	return !l.set.kept() && r.ttl < 0
}
