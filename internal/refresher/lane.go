// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

const (
	// maxBatch is how many guards are acquired in one pipeline.
	maxBatch = 128
	// maxReady bounds the queue of due keys. Others wait in the schedule, in
	// order of their due time.
	maxReady = 4096
	idle     = time.Hour
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

	// The rest belongs to run.
	set      *settings
	srv      *server
	metrics  *laneMetrics
	limiter  *rate.Limiter
	keys     map[string]*entry
	all      []*entry
	waiting  *schedule.Queue[*entry] // by when to look again
	ready    *schedule.Queue[*entry] // due, by expiry
	inFlight int
	draining bool
	lead     estimate
	failing  int // keys whose last rebuild failed
	breaker  breaker
	account  account
	force    force
	recent   recent

	view atomic.Pointer[view]
}

// entry is what is known of a key. expiry and stale are times by the local
// clock, taken from Redis' answers: hints that Redis is asked about again.
type entry struct {
	key      string
	index    int // in all
	queue    *schedule.Queue[*entry]
	place    int // in queue
	at       time.Time
	expiry   time.Time // zero if the key is missing
	missing  time.Time // since when; zero if it is there
	loaded   time.Time // the last load; zero before the first
	rests    time.Time // not loaded again before, whatever its TTL
	failures int       // in a row
	pass     uint64    // the last listing that saw it
	busy     bool
	forced   bool
	ignored  bool
}

func newLane(eng *Engine, id ID, set *settings, srv *server) *lane {
	l := &lane{
		id: id, eng: eng, name: set.Name, set: set, srv: srv,
		inbox: make(chan func(), 64), done: make(chan struct{}),
		keys:    map[string]*entry{},
		metrics: eng.metrics.lane(id, set.Name),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	place := func(e *entry, i int) { e.place = i }
	l.waiting = schedule.New(func(a, b *entry) bool { return a.at.Before(b.at) }, place)
	l.ready = schedule.New(func(a, b *entry) bool { return a.expiry.Before(b.expiry) }, place)
	l.limiter = limiter(set.MaxPerSecond)
	l.publish()
	return l
}

func limiter(perSecond int) *rate.Limiter {
	if perSecond == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/10))
}

// do has the lane call f, and says whether it will.
func (l *lane) do(f func()) bool {
	select {
	case l.inbox <- f:
		return true
	case <-l.done:
		return false
	}
}

// wait has the lane call f, and returns after it did, or after the lane's end.
func (l *lane) wait(f func()) {
	called := make(chan struct{})
	if l.do(func() { f(); close(called) }) {
		select {
		case <-called:
		case <-l.done:
		}
	}
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
	defer l.cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !l.draining || l.inFlight > 0 {
		timer.Reset(l.step(time.Now()))
		select {
		case f := <-l.inbox:
			f()
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
		return wake
	}
	for l.ready.Len() < maxReady {
		e, ok := l.waiting.Peek()
		if !ok {
			break
		}
		if wait := e.at.Sub(now); wait > 0 {
			wake = min(wake, wait)
			break
		}
		if l.eng.opts.Owns(e.key) {
			l.enqueue(e, l.ready)
		} else {
			l.forget(e)
		}
	}
	return min(wake, l.dispatch(now))
}

// dispatch begins the rebuilds for which there is room, and says when there may
// be more; where only the end of a running one makes room, that will tell.
func (l *lane) dispatch(now time.Time) time.Duration {
	room := l.set.MaxConcurrent
	if l.breaker.over(l) > 0 {
		room = 1
	}
	room = min(room-l.inFlight, l.ready.Len(), maxBatch)
	if room <= 0 {
		return idle
	}
	if wait := l.breaker.until.Sub(now); wait > 0 {
		return wait
	}
	var jobs []job
	for len(jobs) < room && l.limiter.AllowN(now, 1) {
		e := l.ready.Pop()
		e.queue, e.busy = nil, true
		j := job{entry: e, rests: e.failures == 0 && now.Before(e.rests)}
		if e.forced {
			j.token = l.force.token
		}
		jobs = append(jobs, j)
	}
	if len(jobs) > 0 {
		l.begin(jobs)
	}
	if len(jobs) < room {
		return max(time.Millisecond, time.Duration(float64(time.Second)/float64(l.limiter.Limit())))
	}
	return idle
}

func (l *lane) begin(jobs []job) {
	l.inFlight += len(jobs)
	srv := l.srv
	srv.users.Add(len(jobs))
	r := &rebuilder{set: l.set, srv: srv, lead: l.lead.upper(), done: func(res result) {
		srv.users.Done()
		l.do(func() { l.finish(res, time.Now()) })
	}}
	go r.run(l.ctx, jobs)
}

// enqueue puts an entry into a queue, out of the one that it was in.
func (l *lane) enqueue(e *entry, q *schedule.Queue[*entry]) {
	if e.queue != nil {
		e.queue.Remove(e.place)
	}
	e.queue = q
	q.Push(e)
}

// lookAgain schedules an entry.
func (l *lane) lookAgain(e *entry, at time.Time) {
	e.at = at
	l.enqueue(e, l.waiting)
}

// reschedule schedules an entry by what Redis said of its TTL.
func (l *lane) reschedule(e *entry, ttl time.Duration, now time.Time) {
	e.expiry, e.missing, e.ignored = now.Add(ttl), time.Time{}, false
	lead, random := l.lead.upper(), rand.Float64()
	if l.eng.opts.Standby() {
		lead, random = 0, 0
	}
	at := now.Add(l.set.timing.untilDue(ttl, lead, random))
	if at.Before(e.rests) {
		at = e.rests
	}
	if e.forced {
		at = now
	}
	l.lookAgain(e, at)
}

func (l *lane) track(key string) *entry {
	e := &entry{key: key, index: len(l.all)}
	l.keys[key] = e
	l.all = append(l.all, e)
	return e
}

func (l *lane) forget(e *entry) {
	if e.queue != nil {
		e.queue.Remove(e.place)
		e.queue = nil
	}
	last := len(l.all) - 1
	l.all[e.index] = l.all[last]
	l.all[e.index].index = e.index
	l.all[last] = nil
	l.all = l.all[:last]
	delete(l.keys, e.key)
	l.failures(e, 0)
	l.force.tried(e)
}

// update puts new settings into effect without losing what is known of the
// keys, and moves to another connection of the same Redis.
func (l *lane) update(set *settings, srv *server, token string) {
	retimed := set.timing != l.set.timing
	if set != l.set {
		l.set.loader.Close()
		l.limiter = limiter(set.MaxPerSecond)
		l.set = set
		l.breaker = breaker{}
	}
	l.srv = srv
	l.force.ask(token, l)
	if retimed {
		l.account.begun, l.account.settled = time.Now(), false
		for _, e := range l.all {
			e.rests = time.Time{} // was in proportion to the former lifetime
			if !e.busy && e.missing.IsZero() && !e.ignored {
				now := time.Now()
				l.reschedule(e, e.expiry.Sub(now), now)
			}
		}
	}
	l.publish()
}
