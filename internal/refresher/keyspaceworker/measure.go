// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"slices"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspaceworker/tracker"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
)

const (
	minMeasure   = time.Second
	maxMeasure   = 10 * time.Second
	quietMeasure = 30 * time.Second
)

// account is what a worker knows of its work as a whole. It belongs to the loop.
type account struct {
	loads       Loads
	achieved    pacing.Rate // loads that succeeded
	lastRefresh time.Time
	lastFailure *rebuild.Failure

	measured time.Time // when keys were last counted
	counts   tracker.Counts
	quiet    bool // nothing has happened since, and nothing was wrong then

	sampling bool           // a sample is under way
	sample   tracker.Sample // the last one
	losses   pacing.Losses

	listed      bool              // all nodes were listed since the work began
	runs        map[string]string // of each node that was listed, the run that was
	firstListed time.Time         // when the first listing ended
	converged   bool              // what was due at the first listing has been tried
}

// listing notes that a node was listed.
func (a *account) listing(l store.Listing, now time.Time) {
	if a.runs == nil {
		a.runs = map[string]string{}
	}
	a.runs[l.Node] = l.Run
	a.measured = time.Time{}
	missing := slices.ContainsFunc(l.Nodes, func(node string) bool {
		_, listed := a.runs[node]
		return !listed
	})
	if !missing && !a.listed {
		a.listed, a.firstListed = true, now
	}
}

// measureInTime measures if it is time to, and says when to measure next.
func (w *Worker) measureInTime(now time.Time) time.Duration {
	interval := min(max(w.current.Rebuild.Timing.StaleAge/10, minMeasure), maxMeasure)
	if w.account.quiet {
		interval = quietMeasure
	}
	if wait := w.account.measured.Add(interval).Sub(now); wait > 0 {
		return wait
	}
	w.measure(now)
	w.publish(now)
	return interval
}

// measure counts the keys, and decides by that how early they have to become due.
func (w *Worker) measure(now time.Time) {
	a := &w.account
	a.measured = now
	w.noteConverged(now)
	w.rebuilder.Brake().Expire(w.current.Rebuild.Timing.Expire, now)
	counts, soon := w.tracker.Count(now)
	a.quiet = a.converged && a.losses.Constant() == 0 && counts.Fresh == counts.Keys && w.inFlight == 0 && w.tracker.Failing() == 0
	a.counts = counts.Corrected(a.sample)
	w.tracker.Anticipate(&soon, w.current.Rebuild.Limits, now)
	a.achieved.Update(a.loads.Succeeded, now)
}

// noteConverged notes the end of the beginning: every key that was due at the first
// listing has been tried, or that takes longer than a rebuild should.
func (w *Worker) noteConverged(now time.Time) {
	a := &w.account
	if a.converged || !a.listed {
		return
	}
	next, waits := w.tracker.Next(now)
	tried := w.tracker.Due() == 0 && w.inFlight == 0 && (!waits || next.Sub(now) > schedule.Tick)
	a.converged = tried || now.Sub(a.firstListed) > w.current.Rebuild.Timing.Grace
}

// check compares a random sample of keys with Redis, beside the loop.
func (w *Worker) check() {
	if !w.account.listed || w.account.sampling {
		return
	}
	keys := w.tracker.Pick(store.SampleSize)
	if len(keys) == 0 {
		return
	}
	w.account.sampling = true
	from, timing := w.current.Store, w.current.Rebuild.Timing
	from.Use(1)
	go func() {
		var said []discover.Found
		ctx := w.rebuilder.Context()
		err := from.Inspect(ctx, keys, func(found []discover.Found) error {
			said = append(said, found...)
			return nil
		})
		if err != nil && ctx.Err() == nil {
			from.Failed(err)
		}
		read, unread := from.CountReads(ctx, tracker.NearlyDue(timing, said, store.IdleStep), timing.Expire)
		from.Done(1)
		w.do(func() {
			w.account.sampling = false
			w.opts.Series.Sampled(read, unread)
			w.sampled(said, time.Now())
		})
	}()
}

// sampled takes in a sample. Where keys are filled only to be evicted, their fills are
// spread; once Redis evicts none any more, what was held back is filled at once.
func (w *Worker) sampled(said []discover.Found, now time.Time) {
	a := &w.account
	a.sample = w.tracker.Surprises(said)
	evicted := w.current.Store.Memory().Evicted
	loss := w.tracker.Loss(a.sample, evicted)
	if a.converged {
		a.losses.Add(loss)
	}
	if w.tracker.Refills.Sampled(evicted > 0 && a.losses.Constant() > 0) {
		a.losses = pacing.Losses{}
		w.tracker.FillHeldBack(now)
	}
	w.tracker.Found(said, 0)
}
