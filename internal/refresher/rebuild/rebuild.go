// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rebuild carries keys from the look at them to their end: it takes the guards of
// keys that may be due, decides by what Redis says of them, loads the values of those
// that are, and has them written. It hands out results, and knows nothing of schedules.
//
//	Begin ──► acquire ──► decide ──due──► pool ──► load ──► commit ──► done
//	           all in one pipeline └────── else ─────────────┘ with what else ends then
package rebuild

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
)

// Settings are those of one keyspace. They are never changed, only replaced.
type Settings struct {
	Timing         pacing.Timing
	Limits         pacing.Limits
	GuardTimeout   time.Duration // the longest that a rebuild may hold a guard
	Kept           bool          // keys that are missing are filled
	DeleteNotFound bool          // a key that the loader does not know is deleted
	MaxNotFound    int           // percent of the last answers, beyond which none is deleted; 100 for no limit
	Source         loader.Source
}

// Rebuilder rebuilds the keys of one keyspace. Make one with New. Methods that the owner
// calls belong to one goroutine; rebuilds run beside it, and touch what says so.
type Rebuilder struct {
	ctx    context.Context // ends the rebuilds that run
	cancel context.CancelFunc
	pool   pool                 // of goroutines that load
	brake  pacing.DeletionBrake // rebuilds count answers in it
	asking atomic.Int64         // calls set aside, of which it is not known yet whether anything is due
	open   atomic.Bool          // the breaker is open, as rebuilds see it
	done   func([]Result)

	set     *Settings     // the owner's
	limiter *rate.Limiter // the owner's; each rebuild keeps the one it began with
}

// New returns a Rebuilder without settings. Loads take turns with those of others that
// have the same turns. done is told of the end of rebuilds, in their goroutines.
func New(turns *Turns, done func([]Result)) *Rebuilder {
	r := &Rebuilder{done: done}
	r.pool.turns = turns
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Configure puts settings into effect, for rebuilds that begin from now on. Those that
// run end by theirs.
func (r *Rebuilder) Configure(set *Settings) {
	r.set = set
	r.limiter = limiter(set.Limits.MaxPerSecond)
	r.pool.resize(set.Limits.MaxConcurrent)
	r.brake.LimitTo(set.MaxNotFound)
	r.open.Store(false)
}

func limiter(perSecond int) *rate.Limiter {
	if perSecond == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/10))
}

// Cancel cuts off what runs. What begins from now on ends at once.
func (r *Rebuilder) Cancel() { r.cancel() }

// Context ends with Cancel.
func (r *Rebuilder) Context() context.Context { return r.ctx }

// Close ends the pool. No rebuild may run any more.
func (r *Rebuilder) Close() {
	r.cancel()
	r.pool.close()
}

// CallsLeft is how many calls to the loader its limit has left. A rebuild takes them once
// it is known that a key is due; until then they are only set aside.
func (r *Rebuilder) CallsLeft(now time.Time) int {
	if r.limiter.Limit() == rate.Inf {
		return math.MaxInt32
	}
	return int(r.limiter.TokensAt(now)) - int(r.asking.Load())
}

// CallInterval is how long it takes until the limit allows one more call.
func (r *Rebuilder) CallInterval() time.Duration {
	return max(time.Millisecond, time.Duration(float64(time.Second)/float64(r.limiter.Limit())))
}

// BreakerIs tells rebuilds whether the breaker is open: while it is, those that began
// before end without a load.
func (r *Rebuilder) BreakerIs(open bool) { r.open.Store(open) }

// Brake is what keeps keys from being deleted by the word of the loader.
func (r *Rebuilder) Brake() *pacing.DeletionBrake { return &r.brake }

// Waited is when a load last began to wait for the turns of others; zero if none has.
func (r *Rebuilder) Waited() time.Time {
	if at := r.pool.waited.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Begin prepares the rebuild of jobs by the present settings. calls is how many calls to
// the loader are set aside for them, and lead how early their keys may be rebuilt. Run is
// to follow.
func (r *Rebuilder) Begin(s store.Store, jobs []Job, calls int, lead time.Duration) *Batch {
	r.asking.Add(int64(calls))
	s.Use(len(jobs))
	return &Batch{Jobs: jobs, by: r, set: r.set, store: s, lead: lead, limiter: r.limiter, probes: r.open.Load(), calls: int64(calls)}
}

// Committed takes in what became of commits. It is called by their node.
func (r *Rebuilder) Committed(done []store.Committed) {
	results := make([]Result, len(done))
	for i, d := range done {
		c := d.Item.(*acquired)
		results[i] = c.batch.committed(c, d.Settled)
	}
	done[0].Item.(*acquired).batch.store.Done(len(results)) // of the same node, so of the same store
	r.done(results)
}
