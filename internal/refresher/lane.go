// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

const (
	// maxAcquire is how many guards are acquired in one pipeline, unless a call
	// to the loader takes more.
	maxAcquire = 128
	// quick is how long a key may be expected to wait for a slot with its guard
	// held, so that others are acquired and settled while as many as may are loaded:
	// with enough of them ahead, one pipeline of each kind is always on its way.
	quick = 20 * time.Millisecond
	ahead = 6 * maxAcquire
	idle  = time.Hour
)

// lane keeps one keyspace of one policy fresh. All of its state belongs to one
// goroutine, run; the rest of the world sends it functions to call.
//
//	found ──► waiting ──due──► ready ──slot, token──► busy ──► finished
//	             ▲                                                │
//	             └──────────── next due, retry, held ─────────────┘
type lane struct {
	id   ID
	eng  *Engine
	name string

	ctx    context.Context // ends the rebuilds that run
	cancel context.CancelFunc
	inbox  chan func()
	done   chan struct{}
	slots  slots // for loads
	tenant *tenant
	start  func(*rebuilder, []job)

	// The rest belongs to run.
	set      *settings
	srv      *server
	metrics  *laneMetrics
	limiter  *rate.Limiter
	keys     *schedule.Schedule
	epoch    time.Time // the steps at which keys come are counted from here
	odd      map[string]*exception
	failing  int    // keys whose last rebuild failed
	pass     uint64 // the last listing that began
	seen     uint8  // counts them: goes with each key that was seen since
	inFlight int
	draining bool
	lead     lead
	asking   atomic.Int64 // calls begun of which it is not known yet whether anything is due
	breaker  breaker
	account  account
	force    force
	recent   recent
	hints    hints
	refills  refills

	admission *watch.Admission // of keys that readers miss

	brake brake
	open  atomic.Bool // the breaker is, as rebuilds see it
	view  atomic.Pointer[view]
}

func newLane(eng *Engine, id ID, set *settings, srv *server) *lane {
	l := &lane{
		id: id, eng: eng, name: set.Name, set: set, srv: srv,
		inbox: make(chan func(), 64), done: make(chan struct{}),
		keys: schedule.New(set.template.Prefix(), time.Now()), odd: map[string]*exception{}, epoch: time.Now(),
		metrics: eng.metrics.lane(id, set.Name),
		start:   func(r *rebuilder, jobs []job) { go r.run(jobs) },
		tenant:  eng.tenants.hold(id.Namespace),
	}
	l.slots.turns = l.tenant.turns
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.limiter = limiter(set.MaxPerSecond)
	l.admission = admission(set)
	l.slots.resize(set.MaxConcurrent)
	l.brake.limitTo(set.MaxNotFound)
	l.publish()
	return l
}

func limiter(perSecond int) *rate.Limiter {
	if perSecond == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/10))
}

// do has the lane call f, unless it has ended.
func (l *lane) do(f func()) {
	select {
	case l.inbox <- f:
	case <-l.done:
	}
}

// wait has the lane call f, and returns after it did, or after the lane's end. At the
// end of ctx it returns ctx's error, and f may yet be called.
func (l *lane) wait(ctx context.Context, f func()) error {
	called := make(chan struct{})
	select {
	case l.inbox <- func() { f(); close(called) }:
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-called:
	case <-l.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// drain begins nothing new from now on; the lane ends with what runs.
func (l *lane) drain() { l.do(func() { l.draining = true }) }

// stop drains, and cuts off what runs.
func (l *lane) stop() {
	l.drain()
	l.cancel()
}

func (l *lane) run() {
	defer close(l.done)
	defer func() { l.set.loader.Close() }()
	defer l.slots.close()
	defer l.cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !l.draining || l.inFlight > 0 {
		timer.Reset(l.step(time.Now()))
		select {
		case f := <-l.inbox:
			f()
			l.account.quiet = false
		case <-timer.C:
		}
	}
}

// step does what is to be done now, and says when to look again.
func (l *lane) step(now time.Time) time.Duration {
	if l.draining {
		return idle
	}
	wake := l.measure(now)
	if !l.srv.up() {
		l.account.achieved = pace{} // an outage is no slowness
		return wake
	}
	wake = min(wake, l.lookAgain(now))
	l.come(now)
	if next, some := l.keys.Next(now); some {
		wake = min(wake, next.Sub(now))
	}
	return min(wake, l.dispatch(now))
}

// come makes due whose time has come.
func (l *lane) come(now time.Time) {
	var (
		ids    [maxAcquire]schedule.ID
		others []string // keys of another engine
	)
	for n := l.keys.Come(now, ids[:]); n > 0; n = l.keys.Come(now, ids[:]) {
		l.account.quiet = false
		for _, id := range ids[:n] {
			if l.eng.alone || l.eng.opts.Owns(l.keys.Name(id)) {
				l.keys.MakeDue(id)
			} else {
				others = append(others, l.keys.Name(id))
			}
		}
	}
	for _, key := range others {
		l.forget(l.keys.Find(key))
	}
}

// dispatch begins the rebuilds for which there is room, and says when there may
// be more; where only the end of a running one makes room, that will tell.
func (l *lane) dispatch(now time.Time) time.Duration {
	for {
		room := min(l.room()-l.inFlight, l.keys.Due())
		size := l.set.loader.BatchSize()
		if room <= 0 || room < min(size, l.keys.Due(), l.room()) { // the rest of a batch will have room soon
			return idle
		}
		if wait := l.breaker.until.Sub(now); wait > 0 {
			return wait
		}
		calls := l.calls(now)
		if calls <= 0 {
			return max(time.Millisecond, time.Duration(float64(time.Second)/float64(l.limiter.Limit())))
		}
		room = min(room, max(size, maxAcquire/size*size), calls*size)
		l.begin(l.takeDue(room, calls, now))
	}
}

// takeDue takes keys that are due, the earliest expiry first, for at most so many
// calls, and says how many calls they are.
func (l *lane) takeDue(keys, most int, now time.Time) (jobs []job, calls int) {
	ids := make([]schedule.ID, keys)
	ids = ids[:l.keys.Pop(ids)]
	names := l.keys.Names(ids, make([]string, 0, len(ids)))
	jobs, of := make([]job, 0, len(ids)), tally{}
	for i, id := range ids {
		if of.add(l.most(id)) {
			calls++
		}
		if calls > most {
			for _, id := range ids[i:] {
				l.keys.MakeDue(id)
			}
			return jobs, most
		}
		jobs = append(jobs, l.take(id, names[i], now))
	}
	return jobs, calls
}

// calls is how many calls to the loader its limit has left. A rebuild takes them
// once it is known that a key is due; until then they are only set aside.
func (l *lane) calls(now time.Time) int {
	if l.limiter.Limit() == rate.Inf {
		return math.MaxInt32
	}
	return int(l.limiter.TokensAt(now)) - int(l.asking.Load())
}

// room is how many keys may be under way: the more beyond those that are loaded,
// the quicker loads are. Else guards would be held for keys that wait.
func (l *lane) room() int {
	if l.breaker.over(l) > 0 {
		return 1
	}
	size := l.set.loader.BatchSize()
	room := l.set.MaxConcurrent * size
	if mean := l.lead.mean; mean > 0 {
		room += min(room*int(quick/mean), max(ahead, 2*size))
	}
	return room
}

// take makes a job of a key.
func (l *lane) take(id schedule.ID, key string, now time.Time) job {
	j := job{key: key, id: id, most: l.most(id), looked: now, missed: l.keys.Has(id, wanted)}
	l.keys.Mark(id, busy)
	if l.keys.Has(id, forced) {
		j.token = l.force.token
	}
	j.rests = now.Before(l.rests(id)) && l.failures(j.key) == 0
	return j
}

func (l *lane) begin(jobs []job, calls int) {
	l.inFlight += len(jobs)
	l.asking.Add(int64(calls))
	l.srv.users.Add(len(jobs))
	r := &rebuilder{lane: l, ctx: l.ctx, set: l.set, srv: l.srv, lead: l.lead.ahead(), limiter: l.limiter, probes: l.open.Load(), calls: int64(calls)}
	l.start(r, jobs)
}

// ended has the lane take in what became of rebuilds.
func (l *lane) ended(results []result) {
	l.do(func() {
		now := time.Now()
		for _, r := range results {
			l.finish(r, now)
		}
		l.open.Store(l.breaker.over(l) > 0)
		l.report(now)
	})
}

// update puts new settings into effect without losing what is known of the
// keys, and moves to another connection of the same Redis.
func (l *lane) update(set *settings, srv *server, token string) {
	retimed := set.timing != l.set.timing
	if set != l.set {
		l.set.loader.Close()
		l.limiter = limiter(set.MaxPerSecond)
		l.admission = admission(set)
		l.slots.resize(set.MaxConcurrent)
		l.brake.limitTo(set.MaxNotFound)
		l.set = set
		l.breaker = breaker{}
		l.open.Store(false)
	}
	l.srv = srv
	l.force.ask(token, l)
	if retimed {
		l.account.begun, l.account.settled = time.Now(), false
		l.retime(time.Now())
	}
	l.publish()
}

// retime has another lifetime apply to all keys. What they rested for was in
// proportion to the former one; and those that failed may not be due by this one,
// or else are tried at once.
func (l *lane) retime(now time.Time) {
	clear(l.odd)
	l.failing = 0
	for id := range l.keys.All() {
		l.keys.Unmark(id, ours)
		if l.keys.Marks(id)&(busy|missing|ignored) == 0 {
			l.remind(id, l.keys.Expiry(id).Sub(now), now)
		}
	}
}
