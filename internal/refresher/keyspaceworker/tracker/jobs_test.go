// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// Keys become due in batches that are full, though each has a time of its own; and none
// does before its earliest time, nor when it is stale.
func TestBatchesAreFull(t *testing.T) {
	const keys, size, lives = 4000, 100, 20
	timing := pacing.NewTiming(20*time.Second, 12400*time.Millisecond, time.Second)
	now := at
	tr := of(Config{Timing: timing, BatchSize: size, MaxConcurrent: 6}, keys, now)
	for id := range tr.All() { // written at any time
		tr.reschedule(id, time.Duration(7600+int(id)*3)*time.Millisecond, now)
	}
	calls, loads := 0, 0
	for end := now.Add(lives * timing.StaleAge); now.Before(end); now = now.Add(schedule.Tick) {
		tr.PromoteReady(now)
		for tr.Due() > 0 {
			jobs, n := tr.TakeDue(size, 1, now)
			calls, loads = calls+n, loads+len(jobs)
			for _, j := range jobs {
				left := tr.Left(schedule.ID(j.Tag), now)
				if !timing.Due(left-time.Millisecond, 0) {
					t.Fatalf("a key is taken %s before it is stale", timing.UntilStale(left))
				}
				if timing.UntilStale(left) < -2*schedule.Tick {
					t.Fatalf("a key is taken %s after it is stale", -timing.UntilStale(left))
				}
				tr.Finish(rebuild.Result{Job: j, Outcome: rebuild.Committed, TTL: timing.Expire}, now.Add(5*time.Millisecond))
			}
		}
	}
	t.Logf("%d loads in %d calls, %.1f a call", loads, calls, float64(loads)/float64(calls))
	if loads < 50*calls {
		t.Errorf("%d loads in %d calls, %.1f a call, want 50 at least", loads, calls, float64(loads)/float64(calls))
	}
	if most := keys * lives * 107 / 100; loads > most {
		t.Errorf("%d loads, want %d at most", loads, most)
	}
}

func TestWhatFailsIsAskedForApart(t *testing.T) {
	const size = 16
	tr := of(Config{Timing: pacing.NewTiming(time.Minute, 40*time.Second, time.Second), BatchSize: size, MaxConcurrent: 6}, 40, at)
	failures := map[string]int{}
	for id := range tr.All() {
		key := tr.Name(id)
		failures[key] = int(id) % 8 % 6 // 0 to 5; 0 and 1 twice
		for range failures[key] {
			tr.Finish(rebuild.Result{Job: rebuild.Job{Key: key, Tag: uint32(id)}, Outcome: rebuild.Failed, Took: time.Second, MayBeOneKey: true}, at)
		}
	}
	due := func() {
		for id := range tr.All() {
			tr.Unmark(id, Busy)
			tr.MakeDue(id)
		}
	}
	due()
	jobs, calls := tr.TakeDue(40, 1000, at)
	want, of := 0, rebuild.CallCount{}
	for _, j := range jobs {
		if j.MaxBatch != max(1, size>>failures[j.Key]) {
			t.Errorf("%s, which failed %d times, may be asked for with %d keys", j.Key, failures[j.Key], j.MaxBatch)
		}
		if of.Add(j.MaxBatch) {
			want++
		}
	}
	if len(jobs) != 40 || calls != want {
		t.Errorf("%d jobs in %d calls, want 40 in %d", len(jobs), calls, want)
	}
	due()
	if jobs, calls = tr.TakeDue(40, 3, at); calls != 3 || len(jobs)+tr.Due() != 40 {
		t.Errorf("%d jobs for %d calls, want 3; %d of 40 are left", len(jobs), calls, tr.Due())
	}
}

// A listing reads a TTL, a rebuild commits, and only then the tracker hears of the
// listing: what it says is older than what is known.
func TestAListingThatWasOvertakenByARebuildIsNotBelieved(t *testing.T) {
	for sentence, ttl := range map[string]time.Duration{
		"an old TTL": 300 * time.Millisecond,
		"a lost key": discover.Missing,
		"no expiry":  discover.NoExpiry,
	} {
		tr, id := one(usual, at)
		tr.Mark(id, Busy)
		committedAt := at.Add(time.Millisecond)
		tr.Finish(rebuild.Result{Job: rebuild.Job{Key: "product:1", Tag: uint32(id)}, Outcome: rebuild.Committed, TTL: usual.Timing.Expire, Took: time.Millisecond}, committedAt)

		tr.Found([]discover.Found{{Key: "product:1", TTL: ttl, At: at}}, 1)
		if id := tr.Find("product:1"); id == 0 || !tr.expects(id, usual.Timing.Expire, committedAt) {
			t.Errorf("%s: something else is believed than what was committed", sentence)
		}
	}
}

// A key that waits for its next try waits for no other: nothing would count it as
// well again, nor bring it forward, until it is due.
func TestAKeyThatIsWrittenAfterItFailedFailsNoMore(t *testing.T) {
	expire := usual.Timing.Expire
	for sentence, c := range map[string]struct {
		then    func(*Tracker)
		failing int
	}{
		"nothing is new": {func(tr *Tracker) {
			tr.Found([]discover.Found{{Key: "product:1", TTL: expire / 4, At: at.Add(time.Millisecond)}}, 0)
		}, 1},
		"written with an expiry": {func(tr *Tracker) {
			tr.Found([]discover.Found{{Key: "product:1", TTL: expire, At: at.Add(time.Millisecond)}}, 0)
		}, 0},
		"written without": {func(tr *Tracker) {
			tr.Found([]discover.Found{{Key: "product:1", TTL: discover.NoExpiry, At: at.Add(time.Millisecond)}}, 0)
		}, 0},
		"its keyspace has another expire": {func(tr *Tracker) {
			other := usual
			other.Timing = pacing.NewTiming(2*expire, usual.Timing.StaleAge, time.Second)
			tr.Configure(other, at)
		}, 0},
	} {
		tr, id := one(usual, at)
		tr.reschedule(id, expire/4, at)
		tr.Finish(rebuild.Result{Job: rebuild.Job{Key: "product:1", Tag: uint32(id)}, Outcome: rebuild.Failed, TTL: expire / 4}, at)
		if c.then(tr); tr.Failing() != c.failing || tr.Failures("product:1") != c.failing {
			t.Errorf("%s: %d keys fail, this one %d times, want %d", sentence, tr.Failing(), tr.Failures("product:1"), c.failing)
		}
	}
}

// SCAN need not return a key that was not there when it began.
func TestAKeyThatAppearsDuringAListingIsNotForgotten(t *testing.T) {
	conf := usual
	conf.FillMissed = true
	for sentence, c := range map[string]struct {
		outcome rebuild.Outcome
		ttl     time.Duration
		waits   bool // until the listing has ended
		held    bool
	}{
		"filled":                     {rebuild.Committed, usual.Timing.Expire, false, true},
		"filled later":               {rebuild.Committed, usual.Timing.Expire, true, true},
		"written by the application": {rebuild.Changed, guard.Missing, false, true},
		"and found by the next look": {rebuild.NotDue, usual.Timing.Expire, false, true},
		"not filled":                 {rebuild.Failed, guard.Missing, false, false},
	} {
		tr := of(conf, 0, at)
		tr.BeginListing(1)
		tr.missed("product:1", at)
		if c.waits {
			tr.EndListing(1, "", nil, at)
		}
		j := tr.take(tr.Find("product:1"), "product:1", at)
		tr.Dequeue(schedule.ID(j.Tag))
		tr.Finish(rebuild.Result{Job: j, Outcome: c.outcome, TTL: c.ttl}, at)
		tr.EndListing(1, "", nil, at)
		if held := tr.Find("product:1") != 0; held != c.held {
			t.Errorf("%s: held is %v", sentence, held)
		}
	}
}

// A key of another node says nothing by not being seen, and neither does a listing that
// failed.
func TestOnlyTheListingOfItsNodeForgetsAKey(t *testing.T) {
	tr := of(usual, 0, at)
	see := func(number uint64, keys ...string) {
		for _, key := range keys {
			tr.Found([]discover.Found{{Key: key, TTL: time.Second, At: at}}, number)
		}
	}
	onA := func(key string) bool { return key[0] == 'a' }
	onB := func(key string) bool { return key[0] == 'b' }
	want := func(what string, keys ...string) {
		t.Helper()
		for _, key := range keys {
			if tr.Find(key) == 0 {
				t.Errorf("%s: %s was forgotten", what, key)
			}
		}
		if tr.Len() != len(keys) {
			t.Errorf("%s: %d keys are left, want %q", what, tr.Len(), keys)
		}
	}
	tr.BeginListing(1)
	tr.BeginListing(2)
	see(2, "b1", "b2")
	see(1, "a1", "a2")
	tr.EndListing(2, "b", onB, at)
	tr.EndListing(1, "a", onA, at)
	want("both nodes were listed", "a1", "a2", "b1", "b2")

	tr.BeginListing(3)
	see(3, "a1")
	tr.AbortListing(3)
	want("a listing failed", "a1", "a2", "b1", "b2")

	tr.BeginListing(4)
	see(4, "a1")
	tr.BeginListing(5)
	see(5, "b1")
	tr.EndListing(4, "a", onA, at)
	want("one node was listed", "a1", "b1", "b2")
	tr.EndListing(5, "b", onB, at)
	want("then the other", "a1", "b1")
}

// Redis was gone when the key was looked at: that is no reason to load again what was
// loaded a moment ago. (Found by FuzzWorker.)
func TestALookThatFailsMakesNoKeyDueThatWasJustLoaded(t *testing.T) {
	tr, id := one(usual, at)
	take := func() rebuild.Job {
		tr.MakeDue(id)
		jobs, _ := tr.TakeDue(1, 1, at)
		return jobs[0]
	}
	finish := func(j rebuild.Job, r rebuild.Result) {
		r.Job = j
		tr.Finish(r, at)
	}
	interval := usual.Timing.ReloadInterval()
	finish(take(), rebuild.Result{Outcome: rebuild.Committed, TTL: usual.Timing.Expire, Took: time.Millisecond, ReloadAfter: interval})
	tr.Found([]discover.Found{{Key: "product:1", TTL: 100 * time.Millisecond, At: at.Add(time.Millisecond)}}, 0) // the application wrote it
	finish(take(), rebuild.Result{Outcome: rebuild.Failed, ByRedis: true})
	if j := take(); !j.LoadedRecently {
		t.Error("it is to be loaded again")
	} else {
		finish(j, rebuild.Result{Outcome: rebuild.Failed, TTL: time.Second, Took: time.Millisecond, ReloadAfter: interval})
	}
	if j := take(); j.LoadedRecently {
		t.Error("a key whose load failed is not to be tried again")
	}
}
