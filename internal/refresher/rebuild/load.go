// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package rebuild

import (
	"context"
	"errors"
	"time"

	"github.com/keepfresh/keepfresh/internal/human"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
)

// waitShare is the part of the guard timeout, 1/4, for which a key may wait for the pool
// with its guard held: the rest is for its load.
const waitShare = 4

// load loads keys, and has what came of that committed.
func (b *Batch) load(some []*acquired, queued time.Time) {
	ends := make([]store.Commit, len(some))
	switch began := time.Now(); {
	case began.Sub(queued) > b.set.GuardTimeout/waitShare, b.by.open.Load() && !b.probes:
		for i, k := range some {
			k.Outcome = Aborted
			ends[i] = k.release()
		}
	case b.set.Source.BatchSize() == 1:
		did := b.set.Source.Load(some[0].Lease.Context(), []string{some[0].Key})[0]
		b.countAnswer(some[0], did)
		ends[0] = b.conclude(some[0], time.Since(began), did)
	default:
		results := b.loadMany(some, began)
		took := time.Since(began)
		calls := failedCalls(results)
		for i, k := range some { // all, before any key of the batch is deleted
			b.countAnswer(k, results[i])
		}
		for i, k := range some {
			k.Call = calls[results[i].Err]
			ends[i] = b.conclude(k, took, results[i])
		}
	}
	commit(some, ends)
}

// commit hands commits to the nodes of their keys.
func commit(some []*acquired, ends []store.Commit) {
	for len(some) > 0 {
		n := 1
		for n < len(some) && some[n].node == some[0].node {
			n++
		}
		some[0].node.Commit(ends[:n]...)
		some, ends = some[n:], ends[n:]
	}
}

// countAnswer counts for the brake what the loader said of a key that holds a value.
func (b *Batch) countAnswer(k *acquired, did loader.Result) {
	notFound := did.Err != nil && did.Err.Reason == loader.NotFound
	if k.Acquisition.TTL != guard.Missing && b.set.DeleteNotFound && (did.Err == nil || notFound) {
		b.by.brake.Answered(notFound, time.Now())
	}
}

// failedCalls tells the calls apart that keys failed with.
func failedCalls(results []loader.Result) map[*loader.Error]*pacing.FailedCall {
	calls := map[*loader.Error]*pacing.FailedCall{}
	for _, r := range results {
		if r.Err != nil && calls[r.Err] == nil {
			calls[r.Err] = new(pacing.FailedCall)
		}
	}
	return calls
}

// loadMany loads keys with one call, and with more if it fails. The loss of one key's
// guard does not end it; its fence will.
func (b *Batch) loadMany(some []*acquired, began time.Time) []loader.Result {
	ctx, cancel := context.WithDeadline(b.by.ctx, began.Add(b.set.GuardTimeout*(waitShare-1)/waitShare))
	defer cancel()
	keys := make([]string, len(some))
	for i, k := range some {
		keys[i] = k.Key
	}
	return loader.Split(b.set.Source, b.limiter.Wait).Load(ctx, keys)
}

// conclude says what is to become of a key after its load.
func (b *Batch) conclude(k *acquired, took time.Duration, did loader.Result) store.Commit {
	k.Took, k.ReloadAfter = max(took, 1), b.set.Timing.ReloadInterval()
	k.hold = did.Hold
	e := did.Err
	if e == nil {
		return k.write(guard.Settlement{Value: did.Value, TTL: b.set.Timing.Expire}, Committed)
	}
	cause := context.Cause(k.Lease.Context())
	k.NoValue = e.Reason
	k.Failure = failure(string(e.Reason), "key %q: %s", k.Key, e.Message)
	switch {
	case e.Reason == loader.NotFound && b.set.DeleteNotFound && k.Acquisition.TTL != guard.Missing && !b.by.brake.On():
		return k.write(guard.Settlement{Delete: true}, Deleted)
	case e.Reason == loader.NotFound:
		k.Outcome = NotFound
	case b.by.ctx.Err() != nil:
		k.Outcome = Aborted
	case errors.Is(cause, guard.ErrLost):
		k.Outcome, k.ByRedis = Lost, true
		k.Failure = failure(GuardLost, "key %q: the guard was lost during the load", k.Key)
	default:
		k.Outcome, k.RetryAfter, k.MayBeOneKey = Failed, e.RetryAfter, e.MayBeOneKey
		if errors.Is(cause, context.DeadlineExceeded) {
			k.NoValue = loader.Timeout
			k.Failure = failure(string(loader.Timeout), "key %q: no value within the guard timeout of %s", k.Key, human.Duration(b.set.GuardTimeout))
		}
	}
	return k.release()
}

// write ends a rebuild by a write, which comes to the outcome wanted if it is done.
func (k *acquired) write(s guard.Settlement, wanted Outcome) store.Commit {
	s.Lease, k.wanted = k.Lease, wanted
	return store.Commit{Settlement: s, Owner: k.batch.by, Item: k}
}

// release lets go of the guard; the outcome stands whatever comes of that.
func (k *acquired) release() store.Commit {
	return store.Commit{Settlement: guard.Settlement{Lease: k.Lease}, Owner: k.batch.by, Item: k}
}
