// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keyspaceworker keeps the keys of one keyspace fresh. A Worker is one goroutine,
// which owns all of the keyspace's state; Redis, loaders and whoever looks run beside it,
// and send it functions to call. It decides what is to be done when; package tracker
// knows the keys, package rebuild does the work, package store tells what Redis holds.
//
//	store ──found, heard──► Worker ◄──results── rebuild
//	                      loop │ owns ▲
//	                           ▼      │
//	                         tracker ─┴─jobs──► rebuild
package keyspaceworker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspaceworker/tracker"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
	"github.com/keepfresh/keepfresh/internal/refresher/telemetry"
)

// Options are what a Worker takes from its host. They do not change.
type Options struct {
	Policy   string                // its name, for logs and counts
	Owns     func(key string) bool // whether a key is this engine's; all are if nil
	Standby  func() bool           // another engine goes first
	Lease    time.Duration         // of guards
	Quota    *tracker.Quota        // of keys; the namespace's
	Turns    *rebuild.Turns        // of loads; the namespace's
	Series   *telemetry.Series
	OnChange func() // something changed that a condition tells of; must not block
}

// Assignment is what a Worker works on. It is never changed, only replaced.
type Assignment struct {
	*Settings
	Store           store.Store
	Events          bool   // key events are listened to
	ConfigureEvents bool   // and Redis may be configured to send them
	Demand          string // the token of a refresh on demand; empty for none
}

// longIdle is how long a worker sleeps that has nothing to do. Whatever comes wakes it.
const longIdle = time.Hour

// Worker keeps one keyspace of one policy fresh. Make one with New, and call Run in a
// goroutine of its own. Its other exported methods are safe for concurrent use.
type Worker struct {
	opts Options

	inbox     chan func() // calls for the loop
	done      chan struct{}
	rebuilder *rebuild.Rebuilder
	start     func(*rebuild.Batch) // runs a batch

	assigned atomic.Pointer[Assignment] // what it works on; current, as others see it
	report   atomic.Pointer[report]     // how it stands

	// The rest belongs to the loop.
	current  *Assignment
	tracker  *tracker.Tracker
	breaker  pacing.Breaker
	account  account
	recent   recent
	inFlight int  // keys in rebuilds that have not ended
	draining bool // nothing begins any more
}

// New returns a Worker that has begun nothing.
func New(opts Options, a *Assignment) *Worker {
	now := time.Now()
	w := &Worker{
		opts: opts, current: a,
		inbox: make(chan func(), 64), done: make(chan struct{}),
		start: func(b *rebuild.Batch) { go b.Run() },
		tracker: tracker.New(a.tracking(), tracker.Options{
			Prefix: a.Template.Prefix(), Owns: opts.Owns, Standby: opts.Standby, Quota: opts.Quota, Lease: opts.Lease, Observer: opts.Series,
		}, now),
	}
	w.rebuilder = rebuild.New(opts.Turns, w.ended)
	w.rebuilder.Configure(&a.Rebuild)
	w.assigned.Store(a)
	w.measure(now)
	w.publish(now)
	w.tracker.Demand(a.Demand, w.account.listed, now)
	return w
}

// do has the loop call f, unless it has ended.
func (w *Worker) do(f func()) {
	select {
	case w.inbox <- f:
	case <-w.done:
	}
}

// wait has the loop call f, and returns after it did, or after the loop's end. At the
// end of ctx it returns ctx's error, and f may yet be called.
func (w *Worker) wait(ctx context.Context, f func()) error {
	called := make(chan struct{})
	select {
	case w.inbox <- func() { f(); close(called) }:
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-called:
	case <-w.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Drain begins nothing new from now on; the worker ends when what runs has ended.
func (w *Worker) Drain() { w.do(func() { w.draining = true }) }

// Stop drains, and cuts off what runs.
func (w *Worker) Stop() {
	w.Drain()
	w.Cancel()
}

// Cancel cuts off what runs.
func (w *Worker) Cancel() { w.rebuilder.Cancel() }

// Done is closed when the worker has ended.
func (w *Worker) Done() <-chan struct{} { return w.done }

// Close gives back what the worker held of its namespace's limits. It must have ended.
func (w *Worker) Close() { w.tracker.Close() }

// Assignment is what the worker works on.
func (w *Worker) Assignment() *Assignment { return w.assigned.Load() }

// Run is the loop. It ends after Drain or Stop.
func (w *Worker) Run() {
	defer close(w.done)
	defer func() { w.current.Rebuild.Source.Close() }()
	defer w.rebuilder.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !w.draining || w.inFlight > 0 {
		timer.Reset(w.step(time.Now()))
		select {
		case f := <-w.inbox:
			f()
			w.account.quiet = false
		case <-timer.C:
		}
	}
}

// step does what is to be done now, and says how long the loop may sleep.
func (w *Worker) step(now time.Time) time.Duration {
	if w.draining {
		return longIdle
	}
	sleep := w.measureInTime(now)
	if !w.current.Store.Up() {
		w.account.achieved = pacing.Rate{} // an outage is no slowness
		return sleep
	}
	sleep = min(sleep, w.lookAgain(now))
	if w.tracker.PromoteReady(now) {
		w.account.quiet = false
	}
	if next, some := w.tracker.Next(now); some {
		sleep = min(sleep, next.Sub(now))
	}
	return min(sleep, w.dispatch(now))
}

// Update puts another assignment into effect, which is about the same keys, without
// losing what is known of them. It returns when that is done.
func (w *Worker) Update(a *Assignment) {
	_ = w.wait(context.Background(), func() { w.update(a, time.Now()) })
}

func (w *Worker) update(a *Assignment, now time.Time) {
	was := w.current
	w.current = a
	w.assigned.Store(a)
	if a.Settings != was.Settings {
		was.Rebuild.Source.Close()
		w.rebuilder.Configure(&a.Rebuild)
		w.breaker = pacing.Breaker{}
		if a.Rebuild.Timing != was.Rebuild.Timing {
			w.account.firstListed, w.account.converged = now, false
		}
		w.tracker.Configure(a.tracking(), now)
	}
	w.tracker.Demand(a.Demand, w.account.listed, now)
	w.measure(now)
	w.publish(now)
}

// Reconsider forgets the keys that are another engine's now.
func (w *Worker) Reconsider() { w.do(func() { w.tracker.DropUnowned(time.Now()) }) }
