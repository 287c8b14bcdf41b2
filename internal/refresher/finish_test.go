// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// A listing reads a TTL, a rebuild commits, and only then the lane hears of the
// listing: what it says is older than what the lane knows.
func TestAListingThatWasOvertakenByARebuildIsNotBelieved(t *testing.T) {
	w := newWorld(t, 0)
	set, err := compile(w.keyspace(), loader.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	srv := &server{}
	for sentence, ttl := range map[string]time.Duration{
		"an old TTL":  300 * time.Millisecond,
		"a lost key":  discover.Missing,
		"no lifetime": discover.NoExpiry,
	} {
		l := newLane(New(Options{}), catalog, set, srv)
		asked := time.Now()
		l.keys.Mark(l.track("product:1"), busy)
		l.inFlight++
		committedAt := asked.Add(time.Millisecond)
		l.finish(result{job: job{key: "product:1"}, outcome: committed, ttl: set.Expire, took: time.Millisecond}, committedAt)

		l.found([]discover.Found{{Key: "product:1", TTL: ttl, At: asked}}, 1)
		if id := l.keys.Find("product:1"); id == 0 || !l.expects(id, set.Expire, committedAt) {
			t.Errorf("%s: the lane believes otherwise than what was committed", sentence)
		}
	}
}

func TestAKeyThatExpiresWhileItsLoaderFailsStaysLate(t *testing.T) {
	w := newWorld(t, 0)
	set, err := compile(w.keyspace(func(k *Keyspace) { k.Keys = []string{"product:1"} }), loader.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for sentence, c := range map[string]struct {
		expiry time.Time
		late   int64
	}{
		"it expired":                        {now.Add(-time.Millisecond), 1},
		"the application deleted it before": {now.Add(time.Second), 0},
		"it was never there":                {time.Time{}, 0},
	} {
		l := newLane(New(Options{}), catalog, set, &server{})
		id := l.track("product:1")
		if !c.expiry.IsZero() {
			l.expires(id, c.expiry)
		}
		l.lose(id, now)
		if got, _, _ := l.count(now); got.missing != 1 || got.late != c.late {
			t.Errorf("%s: %+v, want %d late", sentence, got, c.late)
		}
	}
}

// A key that waits for its next try waits for no other: nothing would count it as
// well again, nor bring it forward, until it is due.
func TestAKeyThatIsWrittenAfterItFailedFailsNoMore(t *testing.T) {
	w := newWorld(t, 0)
	set, err := compile(w.keyspace(), loader.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for sentence, c := range map[string]struct {
		then    func(*lane)
		failing int
	}{
		"nothing is new": {func(l *lane) {
			l.found([]discover.Found{{Key: "product:1", TTL: set.Expire / 4, At: now.Add(time.Millisecond)}}, 0)
		}, 1},
		"written with a lifetime": {func(l *lane) {
			l.found([]discover.Found{{Key: "product:1", TTL: set.Expire, At: now.Add(time.Millisecond)}}, 0)
		}, 0},
		"written without": {func(l *lane) {
			l.found([]discover.Found{{Key: "product:1", TTL: discover.NoExpiry, At: now.Add(time.Millisecond)}}, 0)
		}, 0},
		"its keyspace has other lifetimes": {func(l *lane) {
			other, err := compile(w.keyspace(func(k *Keyspace) { k.Expire *= 2 }), loader.Environment{})
			if err != nil {
				t.Fatal(err)
			}
			l.update(other, l.srv, "")
		}, 0},
	} {
		l := newLane(New(Options{}), catalog, set, &server{})
		id := l.track("product:1")
		l.reschedule(id, set.Expire/4, now)
		l.inFlight++
		l.finish(result{job: job{key: "product:1"}, outcome: failed, ttl: set.Expire / 4}, now)
		if c.then(l); l.failing != c.failing || l.failures("product:1") != c.failing {
			t.Errorf("%s: %d keys fail, this one %d times, want %d", sentence, l.failing, l.failures("product:1"), c.failing)
		}
	}
}

// SCAN need not return a key that was not there when it began.
func TestAKeyThatAppearsDuringAListingIsNotForgotten(t *testing.T) {
	w := newWorld(t, 0)
	set, err := compile(w.keyspace(func(k *Keyspace) { k.OnMiss = Rebuild }), loader.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	for sentence, c := range map[string]struct {
		outcome outcome
		ttl     time.Duration
		waits   bool // until the listing has ended
		held    bool
	}{
		"filled":                     {committed, set.Expire, false, true},
		"filled later":               {committed, set.Expire, true, true},
		"written by the application": {changed, discover.Missing, false, true},
		"and found by the next look": {notDue, set.Expire, false, true},
		"not filled":                 {failed, discover.Missing, false, false},
	} {
		l := newLane(New(Options{}), catalog, set, &server{})
		now := time.Now()
		l.listing(1)
		l.missed("product:1", now)
		if c.waits {
			l.listed(1, "run", now)
		}
		j := l.take(l.keys.Find("product:1"), "product:1", now)
		l.keys.Rest(j.id)
		l.inFlight++
		l.finish(result{job: j, outcome: c.outcome, ttl: c.ttl}, now)
		l.listed(1, "run", now)
		if held := l.keys.Find("product:1") != 0; held != c.held {
			t.Errorf("%s: held is %v", sentence, held)
		}
	}
}
