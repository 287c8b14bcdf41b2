// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"math/rand/v2"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
)

// ended has the loop take in what became of rebuilds.
func (w *Worker) ended(results []rebuild.Result) {
	w.do(func() {
		now := time.Now()
		for _, r := range results {
			w.finish(r, now)
		}
		w.rebuilder.BreakerIs(w.breakerOpen() > 0)
		w.reportChange(now)
	})
}

// finish takes in what became of a rebuild.
func (w *Worker) finish(r rebuild.Result, now time.Time) {
	w.inFlight--
	if r.Failure != nil {
		w.account.lastFailure = r.Failure
	}
	if r.Outcome == rebuild.Committed {
		w.account.lastRefresh = now
	}
	w.opts.Series.Rebuilt(r)
	w.recent.note(r, now)
	w.observeLoader(r, now)
	w.tracker.Finish(r, now)
}

// observeLoader learns from a result whether the loader is up, and how long values take.
// A failure says nothing of that time, but for a timeout among successes: a value takes
// that long at least.
func (w *Worker) observeLoader(r rebuild.Result, now time.Time) {
	switch r.Outcome {
	case rebuild.Committed, rebuild.Changed:
		w.tracker.Lead.Called(r.Took, w.share())
		w.tracker.Lead.Rebuilt(now.Sub(r.Looked), w.share())
		w.loaded()
	case rebuild.Deleted, rebuild.NotFound:
		w.loaded()
	case rebuild.Failed:
		w.breaker.Failed(r.Call, w.tracker.Failures(r.Key) == 0, !r.ByRedis)
		if !r.ByRedis {
			w.account.loads.Failed++
		}
		if r.NoValue == loader.Timeout && !w.breaker.Down(w.tracker.EveryKeyFails()) {
			w.tracker.Lead.Rebuilt(now.Sub(r.Looked), w.share())
		}
		w.breaker.BackOff(w.breakerOpen(), w.current.Rebuild.Timing, rand.Float64(), now)
		w.breaker.Asked(r.RetryAfter, w.current.Rebuild.Timing.Grace, now)
	}
}

// loaded counts a load that was answered.
func (w *Worker) loaded() {
	w.breaker.Succeeded()
	w.account.loads.Succeeded++
}

// share is the part of a call to the loader that one key is.
func (w *Worker) share() float64 { return 1 / float64(w.current.Rebuild.Limits.BatchSize) }
