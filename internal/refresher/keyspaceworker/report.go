// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/telemetry"
)

// report is what a worker shows to others. It is never changed, only replaced.
type report struct {
	Snapshot
	headline
	at time.Time
}

// headline is what a condition tells of a worker, but for the lateness of keys,
// which is known only when they are counted.
type headline struct {
	listed, converged bool
	limited           bool // keys are left out, or loads wait, for the namespace's limits
	loaders           LoadersState
	handled           string // the token of the last refresh on demand that is done
}

func (w *Worker) headline(now time.Time) headline {
	_, noRoom := w.tracker.Apart()
	_, handled := w.tracker.Demanded()
	return headline{w.account.listed, w.account.converged, noRoom > 0 || w.queues(now), w.loadersState(now), handled}
}

// limitedFor is how long it is reported that a limit was reached.
const limitedFor = time.Minute

// queues says that a load had to wait, a short while ago, for those of other keyspaces.
func (w *Worker) queues(now time.Time) bool {
	at := w.rebuilder.Waited()
	return !at.IsZero() && now.Sub(at) < limitedFor
}

func (w *Worker) loadersState(now time.Time) LoadersState {
	switch {
	case w.breaker.PausedUntil().After(now):
		return Paused
	case w.breaker.LoaderDown(w.tracker.EveryKeyFails()):
		if f := w.account.lastFailure; f != nil && f.Reason == string(loader.EgressDenied) {
			return Denied
		}
		return Failing
	case w.rebuilder.Brake().On():
		return ManyNotFound
	case w.account.loads.Succeeded > 0:
		return Succeeding
	}
	return NoLoads
}

// reportChange publishes at once what changes a condition; numbers have time.
func (w *Worker) reportChange(now time.Time) {
	w.noteConverged(now)
	if w.headline(now) != w.report.Load().headline {
		w.measure(now)
		w.publish(now)
	}
}

// publish shows how the worker stands, and calls for attention if that changes a
// condition. It decides nothing.
func (w *Worker) publish(now time.Time) {
	h := w.headline(now)
	next := &report{headline: h, at: now, Snapshot: w.snapshot(h, now)}
	w.opts.Series.Show(w.standing(&next.Snapshot))
	w.opts.Series.RedisIs(w.current.Store.Status())
	w.opts.Series.Evicts(w.current.Store.Memory().Evicted)
	before := w.report.Swap(next)
	if before == nil || before.headline != h || TooLate(before.Late, before.Keys) != TooLate(next.Late, next.Keys) ||
		before.TooSlow != next.TooSlow || (before.Losing > 0) != (next.Losing > 0) {
		w.opts.OnChange()
	}
}

func (w *Worker) snapshot(h headline, now time.Time) Snapshot {
	a, c, timing := &w.account, w.account.counts, w.current.Rebuild.Timing
	noExpiry, noRoom := w.tracker.Apart()
	s := Snapshot{
		Name: w.current.Name, Listed: h.listed, Converged: h.converged, LoadersState: h.loaders,
		Keys: c.Keys, Fresh: c.Fresh, Stale: c.Stale, Missing: c.Missing, Late: c.Late, Ignored: c.Ignored + noExpiry,
		Loads: a.loads, LastRefresh: a.lastRefresh, OldestLoad: c.Oldest,
		LastFailure: a.lastFailure,
		Required:    float64(c.Keys) / timing.StaleAge.Seconds(), Achieved: a.achieved.PerSecond(),
		Slowest: w.tracker.Lead.Slowest(), MaxRebuildTime: timing.MaxRebuildTime(),
		PausedUntil: w.breaker.PausedUntil(), Losing: a.losses.Constant(),
		Untracked: noRoom, Queues: w.queues(now),
	}
	s.NotFound, s.Answers = w.rebuilder.Brake().Counts()
	s.TooSlow = TooLate(s.Late, s.Keys) && c.Queued > 0 && s.LoadersState == Succeeding &&
		s.Achieved < s.Required && w.tracker.Lead.Capacity(w.current.Rebuild.Limits) < s.Required
	return s
}

// standing is what metrics show of a snapshot.
func (w *Worker) standing(s *Snapshot) telemetry.Standing {
	timing, c := w.current.Rebuild.Timing, w.account.counts
	return telemetry.Standing{
		Expire: timing.Expire, StaleAge: timing.StaleAge, Lead: min(w.tracker.Lead.Ahead(), timing.MaxLead()),
		Required: s.Required, Losing: s.Losing, Listed: s.Listed, Settled: s.Converged,
		Fresh: s.Fresh, Stale: s.Stale, Missing: s.Missing, Ignored: s.Ignored, Late: s.Late,
		Queued: c.Queued, Nearest: c.Nearest, HasNearest: c.HasNearest,
		BreakerOpen: w.breakerOpen() > 0, BrakeOn: w.rebuilder.Brake().On(),
	}
}

// Snapshot tells how the worker stands, and the token of the last refresh on demand that
// is done.
func (w *Worker) Snapshot() (s Snapshot, handled string) {
	r := w.report.Load()
	return r.Snapshot, r.handled
}

// stuckAfter is far longer than a worker may go without measuring.
const stuckAfter = 3 * quietMeasure

// Stuck is how long the loop has not turned, if that is too long, else 0: a restart would
// help.
func (w *Worker) Stuck() time.Duration {
	if silent := time.Since(w.report.Load().at); silent > stuckAfter {
		return silent
	}
	return 0
}
