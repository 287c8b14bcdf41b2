// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
)

const (
	// maxAcquire is how many guards are acquired in one pipeline, unless a call
	// to the loader takes more.
	maxAcquire = 128
	// maxGuardWait is how long a key may be expected to wait for the pool with its guard
	// held. While maxConcurrent keys are loading, the next ones are already locked and the
	// last ones are being written: with enough of them, one pipeline of each kind is
	// always on its way.
	maxGuardWait = 20 * time.Millisecond
	// maxWaiting is how many keys may so wait, at most.
	maxWaiting = 6 * maxAcquire
)

// dispatch begins the rebuilds for which there is room, and says when there may
// be more; where only the end of a running one makes room, that will wake the loop.
func (w *Worker) dispatch(now time.Time) time.Duration {
	for {
		limit, due := w.maxInFlight(), w.tracker.Due()
		room := min(limit-w.inFlight, due)
		size := w.current.Rebuild.Limits.BatchSize
		if room <= 0 || room < min(size, due, limit) { // there will be room for a full batch soon
			return longIdle
		}
		if wait := w.breaker.Until().Sub(now); wait > 0 {
			return wait
		}
		calls := w.rebuilder.CallsLeft(now)
		if calls <= 0 {
			return w.rebuilder.CallInterval()
		}
		room = min(room, max(size, maxAcquire/size*size), calls*size)
		w.begin(w.tracker.TakeDue(room, calls, now))
	}
}

// maxInFlight is how many keys may be in rebuilds: the more beyond those that are loaded,
// the quicker loads are. Else guards would be held for keys that wait.
func (w *Worker) maxInFlight() int {
	if w.breakerOpen() > 0 {
		return 1
	}
	limits := w.current.Rebuild.Limits
	n := limits.MaxConcurrent * limits.BatchSize
	if mean := w.tracker.Lead.MeanCall(); mean > 0 {
		n += min(n*int(maxGuardWait/mean), max(maxWaiting, 2*limits.BatchSize))
	}
	return n
}

// breakerOpen is 0 while the breaker is closed, and counts failures while it is open.
func (w *Worker) breakerOpen() int {
	return w.breaker.Open(w.tracker.EveryKeyFails(), w.current.Rebuild.Limits.MaxConcurrent)
}

func (w *Worker) begin(jobs []rebuild.Job, calls int) {
	w.inFlight += len(jobs)
	w.start(w.rebuilder.Begin(w.current.Store, jobs, calls, w.tracker.Lead.Ahead()))
}

// lookAgain asks Redis, beside the loop, about the keys that had no expiry when they
// were heard of, and says how long it is until it is to be asked again.
func (w *Worker) lookAgain(now time.Time) time.Duration {
	keys, wait := w.tracker.LookAgain(now)
	if len(keys) == 0 {
		return wait
	}
	from := w.current.Store
	from.Use(1)
	go func() {
		defer from.Done(1)
		ctx := w.rebuilder.Context()
		err := from.Inspect(ctx, keys, func(found []discover.Found) error {
			w.do(func() { w.tracker.LookedAgain(found) })
			return nil
		})
		if err != nil && ctx.Err() == nil {
			from.Failed(err)
			from.Relist() // it will find them
		}
	}()
	return wait
}
