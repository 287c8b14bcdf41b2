// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package rebuild

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
)

// Batch is jobs that begin together. It runs in goroutines of its own, and shares nothing
// with its Rebuilder's owner.
type Batch struct {
	Jobs []Job

	by      *Rebuilder
	set     *Settings
	store   store.Store
	lead    time.Duration // how early keys may be rebuilt
	limiter *rate.Limiter
	probes  bool  // it tries whether the loader is up again
	calls   int64 // to the loader, set aside for the jobs
}

// acquired is a job whose guard is held.
type acquired struct {
	Result
	guard.Acquisition
	batch *Batch
	node  store.Node // that holds the key

	wanted Outcome      // of the write that is asked for; empty if the outcome stands
	hold   *loader.Hold // of the value
}

// Run acquires all guards, in one pipeline for each node, and has what is due loaded. Each
// job's end is told exactly once.
func (b *Batch) Run() {
	var due []*acquired
	shares := b.acquire()
	for i := range shares {
		due = append(due, shares[i].due...)
	}
	calls := intoCalls(due)
	b.limiter.ReserveN(time.Now(), len(calls)) // they were set aside
	b.by.asking.Add(-b.calls)
	for _, s := range shares {
		b.tell(s.ended)
		s.node.Commit(s.free...)
	}
	queued := time.Now()
	for _, some := range calls {
		b.by.pool.run(func() { b.load(some, queued) })
	}
}

// share is the jobs whose keys lie on one node, and what became of them there.
type share struct {
	node  store.Node
	jobs  []Job
	due   []*acquired    // to be loaded
	ended []Result       // those that nothing is to be done for
	free  []store.Commit // those whose guard is to be let go
}

// acquire takes the guards on all nodes at once.
func (b *Batch) acquire() []share {
	shares := b.byNode()
	var others sync.WaitGroup
	for i := 1; i < len(shares); i++ {
		others.Go(func() { b.acquireFrom(&shares[i]) })
	}
	b.acquireFrom(&shares[0])
	others.Wait()
	return shares
}

// byNode groups the jobs.
func (b *Batch) byNode() (shares []share) {
	first := b.store.NodeOf(b.Jobs[0].Key)
	other := slices.IndexFunc(b.Jobs, func(j Job) bool { return b.store.NodeOf(j.Key) != first })
	if other < 0 {
		return []share{{node: first, jobs: b.Jobs}}
	}
	shares = []share{{node: first, jobs: b.Jobs[:other:other]}}
	for _, j := range b.Jobs[other:] {
		node := b.store.NodeOf(j.Key)
		i := slices.IndexFunc(shares, func(s share) bool { return s.node == node })
		if i < 0 {
			i = len(shares)
			shares = append(shares, share{node: node})
		}
		shares[i].jobs = append(shares[i].jobs, j)
	}
	return shares
}

// acquireFrom takes guards on one node, and decides what is to be done for each key.
func (b *Batch) acquireFrom(s *share) {
	keys := make([]string, len(s.jobs))
	for i, j := range s.jobs {
		keys[i] = j.Key
	}
	found, err := s.node.Acquire(b.by.ctx, keys, b.set.GuardTimeout)
	if err != nil {
		for _, j := range s.jobs {
			s.ended = append(s.ended, b.redisFailed(s.node, Result{Job: j}, err))
		}
		return
	}
	all := make([]acquired, len(s.jobs))
	s.due = make([]*acquired, 0, len(s.jobs))
	for i, a := range found {
		all[i] = acquired{Result: b.decide(s.jobs[i], a), Acquisition: a, batch: b, node: s.node}
		switch k := &all[i]; {
		case k.Outcome == "":
			s.due = append(s.due, k)
		case a.Lease == nil:
			s.ended = append(s.ended, k.Result)
		default:
			s.free = append(s.free, k.release())
		}
	}
}

// decide says what Redis' answer means for a job. An empty outcome means: load.
func (b *Batch) decide(j Job, a guard.Acquisition) Result {
	res := Result{Job: j, TTL: a.TTL}
	missing := a.TTL == guard.Missing || a.Type == "none" // it may expire between the two answers
	switch {
	case a.Lease == nil:
		res.Outcome = Held
	case missing && (b.set.Kept || j.Missed):
		res.Filled = true
	case missing:
		res.Outcome = Gone
	case a.Type != "string":
		res.Outcome = Ignored
		res.Failure = failure(WrongType, "key %q is a %s, not a string; it is left alone", j.Key, a.Type)
	case a.TTL == guard.NoExpiry:
		res.Outcome = Ignored
		res.Failure = failure(NoExpiry, "key %q has no expiry; it is left alone until it has one", j.Key)
	case j.Token == "" && (j.LoadedRecently || !b.set.Timing.Due(a.TTL, b.lead)):
		res.Outcome = NotDue
	}
	return res
}

// intoCalls puts keys into calls, those together of which as many may be, with the
// largest calls first.
func intoCalls(due []*acquired) (calls [][]*acquired) {
	slices.SortStableFunc(due, func(a, b *acquired) int { return b.MaxBatch - a.MaxBatch })
	for len(due) > 0 {
		n := 1
		for n < min(due[0].MaxBatch, len(due)) && due[n].MaxBatch == due[0].MaxBatch {
			n++
		}
		calls = append(calls, due[:n:n])
		due = due[n:]
	}
	return calls
}

// CallCount counts the calls that will be made of jobs: how many of them have each
// MaxBatch. Make one before its use.
type CallCount map[int]int

// Add counts a job, and says whether it takes one more call.
func (c CallCount) Add(maxBatch int) bool {
	c[maxBatch]++
	return (c[maxBatch]-1)%maxBatch == 0
}

// tell tells of jobs that end without a commit.
func (b *Batch) tell(results []Result) {
	if len(results) > 0 {
		b.store.Done(len(results))
		b.by.done(results)
	}
}

// committed says what came of a commit.
func (b *Batch) committed(k *acquired, did guard.Settled) Result {
	res := k.Result
	k.hold.Release()
	k.hold = nil
	switch {
	case k.wanted == "":
	case did.Err != nil:
		return b.redisFailed(k.node, res, did.Err)
	case did.Outcome == guard.Changed:
		res.Outcome = Changed
	case did.Outcome == guard.Lost:
		res.Outcome, res.ByRedis = Lost, true
		res.Failure = failure(GuardLost, "key %q: the guard had ended before the value could be written", res.Key)
	default:
		res.Outcome = k.wanted
		k.node.Served()
	}
	if res.Outcome == Committed {
		res.TTL = b.set.Timing.Expire // the owner's may be another by now
	}
	return res
}

func (b *Batch) redisFailed(node store.Node, res Result, err error) Result {
	if b.by.ctx.Err() != nil {
		res.Outcome = Aborted
		return res
	}
	node.Failed(err)
	res.Outcome, res.ByRedis = Failed, true
	res.Failure = failure(RedisError, "key %q: %s", res.Key, redisconn.Classify(err).Message)
	return res
}
