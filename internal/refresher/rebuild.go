// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
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
	ignored   outcome = "ignored"   // no string, or without expiry
	aborted   outcome = "aborted"   // the work on the policy ended
)

// job is one key to rebuild.
type job struct {
	entry *entry
	token string // of the refresh on demand that it serves, whatever its age
	rests bool   // it was loaded so recently that only a loss makes it due
}

// result is what became of a job.
type result struct {
	job
	outcome outcome
	ttl     time.Duration // of the key when it was acquired, or that a commit gave it
	took    time.Duration // by the load; 0 if there was none
	rest    time.Duration // for which the key need not be loaded again
	failure *Failure      // of failed, lost, ignored, notFound and deleted
	redis   bool          // the failure is not the loader's
	fill    bool          // the key was missing when it was acquired
	after   time.Duration // the loader asked to be left alone for so long
	noValue loader.Reason // why the load brought no value; empty if it did, or there was none
}

// rebuilder carries a batch of jobs from acquire to commit. It runs outside the
// lane's loop, and touches none of its state.
type rebuilder struct {
	set  *settings
	srv  *server
	lead time.Duration
	done func(result)
}

// run acquires all guards in one pipeline and loads at once what is due; done
// is called exactly once for each job.
func (r *rebuilder) run(ctx context.Context, jobs []job) {
	keys := make([]string, len(jobs))
	for i, j := range jobs {
		keys[i] = j.entry.key
	}
	found, err := r.srv.guard.Acquire(ctx, keys, r.set.GuardTimeout)
	if err != nil {
		for _, j := range jobs {
			r.done(r.redisFailed(ctx, result{job: j}, err))
		}
		return
	}
	for i, a := range found {
		if res := r.decide(jobs[i], a); res.outcome == "" {
			go func() { r.done(r.load(ctx, res, a)) }()
		} else {
			if a.Lease != nil {
				a.Lease.Release(ctx)
			}
			r.done(res)
		}
	}
}

// decide says what Redis' answer means for a job. An empty outcome means: load.
func (r *rebuilder) decide(j job, a guard.Acquisition) result {
	res := result{job: j, ttl: a.TTL}
	missing := a.TTL == guard.Missing || a.Type == "none" // it may expire between the two answers
	switch {
	case a.Lease == nil:
		res.outcome = held
	case missing && r.set.kept():
		res.fill = true
	case missing:
		res.outcome = gone
	case a.Type != "string":
		res.outcome = ignored
		res.failure = failure(WrongType, "key %q is a %s, not a string; it is left alone", j.entry.key, a.Type)
	case a.TTL == guard.NoExpiry:
		res.outcome = ignored
		res.failure = failure(NoExpiry, "key %q has no expiry; it is left alone until it has one", j.entry.key)
	case j.token == "" && (j.rests || !r.set.timing.due(a.TTL, r.lead)):
		res.outcome = notDue
	}
	return res
}

func (r *rebuilder) load(ctx context.Context, res result, a guard.Acquisition) result {
	began := time.Now()
	value, err := r.set.loader.Load(a.Lease.Context(), res.entry.key)
	res.took, res.rest = time.Since(began), r.set.timing.interval()
	if err == nil {
		res = r.settle(ctx, res, committed, func() (guard.Outcome, error) { return a.Lease.Set(ctx, value, r.set.Expire) })
		if res.outcome == committed {
			res.ttl = r.set.Expire // the lane's may be another by now
		}
		return res
	}

	cause := context.Cause(a.Lease.Context())
	var e *loader.Error
	if !errors.As(err, &e) {
		e = &loader.Error{Reason: loader.ConnectionFailed, Message: err.Error()}
	}
	res.noValue = e.Reason
	res.failure = failure(string(e.Reason), "key %q: %s", res.entry.key, e.Message)
	switch {
	case e.Reason == loader.NotFound && r.set.OnNotFound == Delete && a.TTL != guard.Missing:
		return r.settle(ctx, res, deleted, func() (guard.Outcome, error) { return a.Lease.Delete(ctx) })
	case e.Reason == loader.NotFound:
		res.outcome = notFound
	case ctx.Err() != nil:
		res.outcome = aborted
	case errors.Is(cause, guard.ErrLost):
		res.outcome, res.redis = lost, true
		res.failure = failure(GuardLost, "key %q: the guard was lost during the load", res.entry.key)
	default:
		res.outcome, res.after = failed, e.RetryAfter
		if errors.Is(cause, context.DeadlineExceeded) {
			res.noValue = loader.Timeout
			res.failure = failure(string(loader.Timeout), "key %q: no value within the guard timeout of %s", res.entry.key, r.set.GuardTimeout)
		}
	}
	a.Lease.Release(ctx)
	return res
}

// settle ends a rebuild with a write, and says what came of it.
func (r *rebuilder) settle(ctx context.Context, res result, wanted outcome, write func() (guard.Outcome, error)) result {
	did, err := write()
	switch {
	case err != nil:
		return r.redisFailed(ctx, res, err)
	case did == guard.Changed:
		res.outcome = changed
	case did == guard.Lost:
		res.outcome, res.redis = lost, true
		res.failure = failure(GuardLost, "key %q: the guard had ended before the value could be written", res.entry.key)
	default:
		res.outcome = wanted
		r.srv.served()
	}
	return res
}

func (r *rebuilder) redisFailed(ctx context.Context, res result, err error) result {
	if ctx.Err() != nil {
		res.outcome = aborted
		return res
	}
	r.srv.suspect(err)
	res.outcome, res.redis = failed, true
	res.failure = failure(RedisError, "key %q: %v", res.entry.key, err)
	return res
}

func failure(reason, format string, args ...any) *Failure {
	return &Failure{Time: time.Now(), Reason: reason, Message: fmt.Sprintf(format, args...)}
}
