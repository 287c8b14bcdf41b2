// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/keepfresh/keepfresh/internal/human"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// outcome is how the rebuild of one key ended.
type outcome string

const (
	committed outcome = "committed" // loaded and written
	deleted   outcome = "deleted"   // the loader does not know the key, so it was deleted
	notFound  outcome = "not_found" // the loader does not know the key, and it was left as it is
	changed   outcome = "changed"   // an application wrote or deleted the key during the load, and won
	failed    outcome = "failed"    // by the loader, or by Redis
	lost      outcome = "lost"      // the guard was lost during the load
	held      outcome = "held"      // somebody else is rebuilding the key
	notDue    outcome = "not_due"   // rewritten since it was scheduled
	gone      outcome = "gone"      // deleted or expired since it was scheduled
	ignoring  outcome = "ignored"   // no string, or without expiry
	aborted   outcome = "aborted"   // the work on the policy ended
)

// job is one key to rebuild.
type job struct {
	key    string
	id     schedule.ID // its number when the job began
	most   int         // how many keys may be asked for with one call, with this one among them
	looked time.Time
	token  string // of the refresh on demand that it serves, whatever its age
	missed bool   // by a reader: it is filled even if it is not kept
	rests  bool   // it was loaded so recently that only a loss makes it due
}

// result is what became of a job.
type result struct {
	job
	outcome outcome
	ttl     time.Duration // of the key when it was acquired, or that a commit gave it
	took    time.Duration // by the load; 0 if there was none
	rest    time.Duration // for which the key need not be loaded again
	failure *Failure      // of failed, lost, ignoring, notFound and deleted
	redis   bool          // the failure is not the loader's
	fill    bool          // the key was missing when it was acquired
	after   time.Duration // the loader asked to be left alone for so long
	suspect bool          // the key may be why the call failed
	call    *failedCall   // that several keys failed with, for the lane to count
	hold    *loader.Hold  // of the value
	noValue loader.Reason // why the load brought no value; empty if it did, or there was none
}

// rebuilder carries jobs from acquire to settlement. It runs outside the lane's
// loop, and touches none of its state.
//
//	acquire ──► decide ──due──► slot ──► load ──► settle ──► the lane is told
//	  all in one pipeline  └─────── else ──────────┘ with what else ends then
type rebuilder struct {
	lane    *lane // to be told
	ctx     context.Context
	set     *settings
	srv     *server
	lead    time.Duration
	limiter *rate.Limiter
	probes  bool  // whether the loader is up again
	calls   int64 // set aside for the jobs
}

// acquired is a job whose guard is held.
type acquired struct {
	result
	guard.Acquisition
}

// run acquires all guards in one pipeline and has what is due loaded. The lane
// is told of the end of each job exactly once.
func (r *rebuilder) run(jobs []job) {
	keys := make([]string, len(jobs))
	for i, j := range jobs {
		keys[i] = j.key
	}
	found, err := r.srv.guard.Acquire(r.ctx, keys, r.set.GuardTimeout)
	if err != nil {
		r.lane.asking.Add(-r.calls)
		failed := make([]result, len(jobs))
		for i, j := range jobs {
			failed[i] = r.redisFailed(result{job: j}, err)
		}
		r.ended(failed)
		return
	}
	var (
		not  []result
		free []settlement
	)
	due := make([]acquired, 0, len(jobs))
	for i, a := range found {
		switch res := r.decide(jobs[i], a); {
		case res.outcome == "":
			due = append(due, acquired{res, a})
		case a.Lease == nil:
			not = append(not, res)
		default:
			free = append(free, r.release(res, a))
		}
	}
	calls := batches(due)
	r.limiter.ReserveN(time.Now(), len(calls)) // they were set aside
	r.lane.asking.Add(-r.calls)
	r.ended(not)
	r.srv.settler.add(free...)
	queued := time.Now()
	for _, some := range calls {
		r.lane.slots.run(func() { r.load(some, queued) })
	}
}

// batches puts keys into calls, those together of which as many may be, with the
// largest calls first.
func batches(due []acquired) (calls [][]acquired) {
	slices.SortStableFunc(due, func(a, b acquired) int { return b.most - a.most })
	for len(due) > 0 {
		n := 1
		for n < min(due[0].most, len(due)) && due[n].most == due[0].most {
			n++
		}
		calls = append(calls, due[:n:n])
		due = due[n:]
	}
	return calls
}

// tally counts the calls that batches will make of jobs.
type tally map[int]int // jobs, by their most

// add counts a job, and says whether it takes a call more.
func (t tally) add(most int) bool {
	t[most]++
	return (t[most]-1)%most == 0
}

func (r *rebuilder) ended(results []result) {
	if len(results) > 0 {
		r.srv.users.Add(-len(results))
		r.lane.ended(results)
	}
}

// decide says what Redis' answer means for a job. An empty outcome means: load.
func (r *rebuilder) decide(j job, a guard.Acquisition) result {
	res := result{job: j, ttl: a.TTL}
	missing := a.TTL == guard.Missing || a.Type == "none" // it may expire between the two answers
	switch {
	case a.Lease == nil:
		res.outcome = held
	case missing && (r.set.kept() || j.missed):
		res.fill = true
	case missing:
		res.outcome = gone
	case a.Type != "string":
		res.outcome = ignoring
		res.failure = failure(WrongType, "key %q is a %s, not a string; it is left alone", j.key, a.Type)
	case a.TTL == guard.NoExpiry:
		res.outcome = ignoring
		res.failure = failure(NoExpiry, "key %q has no expiry; it is left alone until it has one", j.key)
	case j.token == "" && (j.rests || !r.set.timing.due(a.TTL, r.lead)):
		res.outcome = notDue
	}
	return res
}

// patience is the share of the guard timeout for which a key may wait for a
// slot with its guard held: the rest is for its load.
const patience = 4

// load loads keys, and has what came of that settled.
func (r *rebuilder) load(some []acquired, queued time.Time) {
	ends := make([]settlement, len(some))
	switch began := time.Now(); {
	case began.Sub(queued) > r.set.GuardTimeout/patience, r.lane.open.Load() && !r.probes:
		for i, a := range some {
			a.outcome = aborted
			ends[i] = r.release(a.result, a.Acquisition)
		}
	case r.set.loader.BatchSize() == 1:
		did := r.set.loader.Load(some[0].Lease.Context(), []string{some[0].key})[0]
		r.answered(some[0], did.Failure())
		ends[0] = r.conclude(some[0], time.Since(began), did)
	default:
		results := r.loadMany(some, began)
		took := time.Since(began)
		calls := sharedFailures(results)
		for i, a := range some { // all, before any key of the batch is deleted
			r.answered(a, results[i].Failure())
		}
		for i, a := range some {
			a.call = calls[results[i].Err]
			ends[i] = r.conclude(a, took, results[i])
		}
	}
	r.srv.settler.add(ends...)
}

// answered counts for the brake what the loader said of a key that holds a value.
func (r *rebuilder) answered(a acquired, err error) {
	var e *loader.Error
	notFound := errors.As(err, &e) && e.Reason == loader.NotFound
	if a.TTL != guard.Missing && r.set.OnNotFound == Delete && (err == nil || notFound) {
		r.lane.brake.answered(notFound, time.Now())
	}
}

// sharedFailures tells the calls apart that keys failed with.
func sharedFailures(results []loader.Result) map[*loader.Error]*failedCall {
	calls := map[*loader.Error]*failedCall{}
	for _, r := range results {
		if r.Err != nil && calls[r.Err] == nil {
			calls[r.Err] = new(failedCall)
		}
	}
	return calls
}

// loadMany loads keys with one call. The loss of one key's guard does not end
// it; its fence will.
func (r *rebuilder) loadMany(some []acquired, began time.Time) []loader.Result {
	ctx, cancel := context.WithDeadline(r.ctx, began.Add(r.set.GuardTimeout*(patience-1)/patience))
	defer cancel()
	keys := make([]string, len(some))
	for i, a := range some {
		keys[i] = a.key
	}
	return loader.Split(r.set.loader, r.limiter.Wait).Load(ctx, keys)
}

// conclude says what is to become of a key after its load.
func (r *rebuilder) conclude(a acquired, took time.Duration, did loader.Result) settlement {
	res, err := a.result, did.Failure()
	res.took, res.rest, res.hold = max(took, 1), r.set.timing.interval(), did.Hold
	if err == nil {
		write := guard.Settlement{Lease: a.Lease, Value: did.Value, TTL: r.set.Expire}
		return settlement{write, r, res, committed}
	}
	cause := context.Cause(a.Lease.Context())
	var e *loader.Error
	if !errors.As(err, &e) {
		e = &loader.Error{Reason: loader.ConnectionFailed, Message: err.Error()}
	}
	res.noValue = e.Reason
	res.failure = failure(string(e.Reason), "key %q: %s", res.key, e.Message)
	switch {
	case e.Reason == loader.NotFound && r.set.OnNotFound == Delete && a.TTL != guard.Missing && !r.lane.brake.holds():
		return settlement{guard.Settlement{Lease: a.Lease, Delete: true}, r, res, deleted}
	case e.Reason == loader.NotFound:
		res.outcome = notFound
	case r.ctx.Err() != nil:
		res.outcome = aborted
	case errors.Is(cause, guard.ErrLost):
		res.outcome, res.redis = lost, true
		res.failure = failure(GuardLost, "key %q: the guard was lost during the load", res.key)
	default:
		res.outcome, res.after, res.suspect = failed, e.RetryAfter, e.MayBeOneKey
		if errors.Is(cause, context.DeadlineExceeded) {
			res.noValue = loader.Timeout
			res.failure = failure(string(loader.Timeout), "key %q: no value within the guard timeout of %s", res.key, human.Duration(r.set.GuardTimeout))
		}
	}
	return r.release(res, a.Acquisition)
}

// release lets go of a guard, whatever comes of it.
func (r *rebuilder) release(res result, a guard.Acquisition) settlement {
	return settlement{guard.Settlement{Lease: a.Lease}, r, res, ""}
}

// settled says what came of a settlement.
func (r *rebuilder) settled(s settlement, did guard.Settled) result {
	res := s.result
	res.hold.Release()
	res.hold = nil
	switch {
	case s.wanted == "":
	case did.Err != nil:
		return r.redisFailed(res, did.Err)
	case did.Outcome == guard.Changed:
		res.outcome = changed
	case did.Outcome == guard.Lost:
		res.outcome, res.redis = lost, true
		res.failure = failure(GuardLost, "key %q: the guard had ended before the value could be written", res.key)
	default:
		res.outcome = s.wanted
		r.srv.served()
	}
	if res.outcome == committed {
		res.ttl = s.TTL // the lane's may be another by now
	}
	return res
}

func (r *rebuilder) redisFailed(res result, err error) result {
	if r.ctx.Err() != nil {
		res.outcome = aborted
		return res
	}
	r.srv.suspect(err)
	res.outcome, res.redis = failed, true
	res.failure = failure(RedisError, "key %q: %s", res.key, redisconn.Classify(err).Message)
	return res
}

func failure(reason, format string, args ...any) *Failure {
	return &Failure{Time: time.Now(), Reason: reason, Message: fmt.Sprintf(format, args...)}
}
