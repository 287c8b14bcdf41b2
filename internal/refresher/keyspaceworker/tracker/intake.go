// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"slices"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// listings tell which keys were seen by which listing. A key's Seen is the number of the
// last listing that saw it, modulo 256; of keys that were written meanwhile, that of the
// last one that began.
type listings struct {
	last  uint8 // the number of the last one that began
	open  []listing
	apart map[string]apart // keys that are not tracked, by node; of the last listing of each
}

// listing is one under way.
type listing struct {
	number uint64 // the store's
	seen   uint8  // the tracker's
	apart
}

// apart counts keys that match the template and are not tracked.
type apart struct {
	noExpiry int64 // as they have no expiry
	noRoom   int64 // as the quota is reached
}

func (l *listings) begin(number uint64) {
	l.last++
	l.open = append(l.open, listing{number: number, seen: l.last})
}

// find is a listing under way; nil if it is not.
func (l *listings) find(number uint64) *listing {
	if i := slices.IndexFunc(l.open, func(o listing) bool { return o.number == number }); i >= 0 {
		return &l.open[i]
	}
	return nil
}

func (l *listings) end(number uint64) {
	l.open = slices.DeleteFunc(l.open, func(o listing) bool { return o.number == number })
}

// age is how many listings have begun since the one with this Seen.
func (l *listings) age(seen uint8) uint8 { return l.last - seen }

// BeginListing says that the keys of a node are about to be read. Numbers differ.
func (t *Tracker) BeginListing(number uint64) { t.listings.begin(number) }

// EndListing says that a listing has ended. Keys of the node that it did not see are not
// there any more; holds says which are the node's, and is nil if all are.
func (t *Tracker) EndListing(number uint64, node string, holds func(key string) bool, now time.Time) {
	l := t.listings.find(number)
	if l == nil {
		return
	}
	for id := range t.All() {
		if t.listings.age(t.Seen(id)) > t.listings.age(l.seen) && !t.Has(id, Busy) && (holds == nil || holds(t.Name(id))) {
			t.noteGone(id, now)
			t.forget(id, now)
		}
	}
	if t.listings.apart == nil {
		t.listings.apart = map[string]apart{}
	}
	t.listings.apart[node] = l.apart
	t.listings.end(number)
}

// AbortListing says that a listing failed: keys that it did not see may be there.
func (t *Tracker) AbortListing(number uint64) { t.listings.end(number) }

// Apart is how many keys the last listings found that are not tracked: as they have no
// expiry, and as the quota is reached.
func (t *Tracker) Apart() (noExpiry, noRoom int64) {
	for _, a := range t.listings.apart {
		noExpiry, noRoom = noExpiry+a.noExpiry, noRoom+a.noRoom
	}
	return noExpiry, noRoom
}

// Found takes in what Redis said of keys. number is that of the listing that it came
// from, or 0 if Redis was asked about these keys alone.
func (t *Tracker) Found(items []discover.Found, number uint64) {
	l := t.listings.find(number)
	if l == nil {
		l = &listing{seen: t.listings.last}
		if number != 0 { // of a listing that has ended: it says nothing of what is there now
			l.seen = t.listings.last - 1
		}
	}
	for _, f := range items {
		if !t.owns(f.Key) {
			continue
		}
		if id := t.intake(f, l); id != 0 {
			if t.listings.age(t.Seen(id)) > t.listings.age(l.seen) {
				t.See(id, l.seen)
			}
			t.takeIn(id, f)
		}
	}
}

// intake is the number of a key that a listing found and that is to be tracked, else 0.
func (t *Tracker) intake(f discover.Found, l *listing) schedule.ID {
	id := t.Find(f.Key)
	switch {
	case f.TTL == discover.Missing && !t.conf.Kept:
		if id != 0 && !t.Has(id, Busy) && f.At.After(t.loadedAt(id)) {
			t.noteGone(id, f.At)
			t.forget(id, f.At)
		}
		return 0
	case id != 0:
		return id
	case f.TTL == discover.NoExpiry && !t.conf.Kept:
		l.noExpiry++ // bounded memory: only counted
		return 0
	}
	if id = t.track(f.Key); id == 0 {
		l.noRoom++
	}
	return id
}

// takeIn compares what Redis said of a key with what is known of it. A key that was
// written since it failed does so no more: it is not to be tried again soon.
func (t *Tracker) takeIn(id schedule.ID, f discover.Found) {
	if t.Has(id, Busy) || !f.At.After(t.loadedAt(id)) {
		return // it speaks of the value before
	}
	queued := !t.Unqueued(id)
	switch {
	case f.TTL == discover.Missing:
		if !t.Has(id, Missing) {
			t.lose(id, f.At)
			t.Wait(id, t.Refills.At(f.At))
		}
	case f.TTL == discover.NoExpiry:
		t.exceptions.forgive(f.Key, f.At)
		t.ignore(id, f.At)
	case queued && t.Has(id, Ignored): // a TTL says nothing of its type; the next look will
	case !queued || !t.expects(id, f.TTL, f.At):
		t.exceptions.forgive(f.Key, f.At)
		t.reschedule(id, f.TTL, f.At)
	}
}
