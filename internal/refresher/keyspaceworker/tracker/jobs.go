// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"math/rand/v2"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// readyAtOnce is how many keys become due at a time.
const readyAtOnce = 128

// PromoteReady makes keys due that have waited for long enough, and says whether there
// were any. Keys of another engine are forgotten.
func (t *Tracker) PromoteReady(now time.Time) (some bool) {
	var (
		ids    [readyAtOnce]schedule.ID
		others []string
	)
	for n := t.TakeReady(now, ids[:]); n > 0; n = t.TakeReady(now, ids[:]) {
		some = true
		for _, id := range ids[:n] {
			if t.opts.Owns == nil || t.opts.Owns(t.Name(id)) {
				t.MakeDue(id)
			} else {
				others = append(others, t.Name(id))
			}
		}
	}
	for _, key := range others {
		t.forget(t.Find(key), now)
	}
	return some
}

// TakeDue takes keys that are due, the earliest expiry first, for at most so many calls
// to the loader, and says how many calls they are.
func (t *Tracker) TakeDue(keys, maxCalls int, now time.Time) (jobs []rebuild.Job, calls int) {
	ids := make([]schedule.ID, keys)
	ids = ids[:t.Pop(ids)]
	names := t.Names(ids, make([]string, 0, len(ids)))
	jobs, of := make([]rebuild.Job, 0, len(ids)), rebuild.CallCount{}
	for i, id := range ids {
		if of.Add(t.maxBatch(id)) {
			calls++
		}
		if calls > maxCalls {
			for _, id := range ids[i:] {
				t.MakeDue(id)
			}
			return jobs, maxCalls
		}
		jobs = append(jobs, t.take(id, names[i], now))
	}
	return jobs, calls
}

// take makes a job of a key.
func (t *Tracker) take(id schedule.ID, key string, now time.Time) rebuild.Job {
	j := rebuild.Job{Key: key, Tag: uint32(id), MaxBatch: t.maxBatch(id), Looked: now, Missed: t.Has(id, Awaited)}
	t.Mark(id, Busy)
	if t.Has(id, Demanded) {
		j.Token = t.demand.token
	}
	j.LoadedRecently = t.loadedRecently(id, now)
	return j
}

// maxBatch is how many keys one call may be for, with this key among them: after failures
// for which it may be the reason, fewer each time, until it harms only itself.
func (t *Tracker) maxBatch(id schedule.ID) int {
	size := t.conf.BatchSize
	if x := t.exception(id); x != nil && x.mayFailCall {
		return max(1, size>>min(x.failures, 16))
	}
	return size
}

// Finish takes in what became of a job, and schedules the key's next look.
func (t *Tracker) Finish(r rebuild.Result, now time.Time) {
	id := t.FindAgain(r.Key, schedule.ID(r.Tag))
	t.Unmark(id, Busy)
	if r.TTL > 0 || r.Outcome == rebuild.Changed { // a listing may have passed its place before it was there
		t.See(id, t.listings.last)
	}
	if r.Token == t.demand.token && fulfils(r) {
		t.tried(id)
	}
	if t.missAnswered(id, r, now) {
		t.forget(id, now)
		return
	}
	if r.Took > 0 && r.Outcome != rebuild.Committed {
		t.Unmark(id, OwnTTL)
		t.exceptions.set(r.Key, exception{
			failures: t.Failures(r.Key), loaded: now, notBefore: now.Add(r.ReloadAfter), mayFailCall: r.MayBeOneKey,
			loadFailed: r.Outcome != rebuild.Changed && r.Outcome != rebuild.Aborted,
		})
	}
	t.schedule(id, r, now)
}

// schedule schedules the next look at a key whose rebuild ended.
func (t *Tracker) schedule(id schedule.ID, r rebuild.Result, now time.Time) {
	switch r.Outcome {
	case rebuild.Failed, rebuild.Lost, rebuild.NotFound:
		if r.TTL < 0 {
			t.lose(id, now)
		}
		t.retry(id, r.Key, now)
		return
	case rebuild.Deleted:
		t.deleted(id, r.Key, now)
		return
	case rebuild.Held:
		t.Wait(id, now.Add(t.conf.Timing.WhileHeld(t.opts.Lease, rand.Float64())))
		return
	}
	t.exceptions.forgive(r.Key, now)
	switch r.Outcome {
	case rebuild.Committed:
		t.committed(id, r, now)
	case rebuild.NotDue:
		t.reschedule(id, r.TTL, now)
	case rebuild.Gone:
		t.noteGone(id, now)
		t.forget(id, now)
	case rebuild.Changed, rebuild.Aborted:
		t.Wait(id, now)
	case rebuild.Ignored:
		t.ignore(id, now)
	}
}

// committed schedules a key that was just written.
func (t *Tracker) committed(id schedule.ID, r rebuild.Result, now time.Time) {
	if !t.Has(id, Missing) {
		if r.Filled {
			t.noteGone(id, now)
		}
		t.opts.Observer.Refreshed(-t.conf.Timing.UntilStale(t.Left(id, now)))
	}
	t.setExpiry(id, now.Add(r.TTL))
	if r.TTL == t.conf.Timing.Expire {
		t.exceptions.drop(r.Key)
		t.Mark(id, OwnTTL)
	} else { // by former settings
		t.exceptions.set(r.Key, exception{loaded: now, notBefore: now.Add(r.ReloadAfter)})
	}
	t.remind(id, r.TTL, now)
}

// deleted takes in that a key was deleted because the loader does not know it.
func (t *Tracker) deleted(id schedule.ID, key string, now time.Time) {
	if !t.conf.Kept {
		t.forget(id, now)
		return
	}
	t.lose(id, now)
	t.retry(id, key, now)
}
