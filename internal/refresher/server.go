// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/wake"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

const (
	minListPause   = time.Second
	maxListPause   = 5 * time.Minute
	listingPerLife = 2 // listings in the time in which a new key becomes due
	// gather lets policies that begin together share one listing.
	gather = 100 * time.Millisecond
)

// server is one Redis, shared by all lanes whose policies reach it in the same
// way: one client, one health probe, one listing.
type server struct {
	endpoint
	eng   *Engine
	rdb   *redisconn.Client
	guard *guard.Guard

	settler settler

	watch     *watch.Watcher
	listeners atomic.Pointer[keyspace.Index[*lane]] // to key events
	took      atomic.Int64                          // the last listing; nanoseconds

	cancel context.CancelFunc
	loops  sync.WaitGroup
	users  sync.WaitGroup // rebuilds and samples under way

	evictions evictions // the sampling loop's
	memory    atomic.Pointer[Memory]

	wantList, wantProbe wake.Signal
	redialled           time.Time // the monitor's

	mu        sync.Mutex
	lanes     map[*lane]struct{}
	probed    redisconn.Status
	refusal   redisconn.Status // what rebuilds were refused with; zero if they are served
	runID     string
	unlisted  redisconn.Status // what listings were refused with; zero if they are served
	serving   atomic.Bool      // probed is Connected
	elsewhere atomic.Bool      // the address may mean another server by now
	mute      atomic.Bool      // it does not say whether keys are read
	refusing  atomic.Bool      // refusal is not zero
}

func newServer(eng *Engine, at endpoint, rules *egress.Rules) (*server, error) {
	rdb, err := redisconn.New(at.Config, rules)
	if err != nil {
		return nil, err
	}
	s := &server{
		endpoint: at, eng: eng, rdb: rdb, guard: guard.New(rdb.Client, eng.opts.Lease),
		wantList: wake.NewSignal(), wantProbe: wake.NewSignal(),
		lanes:  map[*lane]struct{}{},
		probed: redisconn.Status{Reason: redisconn.NotConnected, Message: "not connected yet"},
	}
	s.settler.guard = s.guard
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.listeners.Store(&keyspace.Index[*lane]{})
	s.watch = watch.Start(rdb.Client, watch.Handler{
		Events: func(events []watch.Event) { s.heard(ctx, events) },
		Gap:    func() { s.wantList.Set() },
		Changed: func(now watch.Status) {
			if !now.Heard() {
				s.wantList.Set() // from now on often
			}
			s.told()
		},
	}, eng.opts.Log.With("address", at.Address))
	s.loops.Go(func() { s.monitor(ctx) })
	s.loops.Go(func() { s.list(ctx) })
	s.loops.Go(func() { s.sample(ctx) })
	return s, nil
}

// close ends the loops, and closes the client once no rebuild uses it.
func (s *server) close() {
	s.cancel()
	s.watch.Close()
	s.loops.Wait()
	s.users.Wait()
	s.guard.Wait()
	_ = s.rdb.Close()
}

// attach has the lane told of its keys, and of the server's coming and going.
func (s *server) attach(l *lane) {
	s.mu.Lock()
	s.lanes[l] = struct{}{}
	s.mu.Unlock()
	s.wantList.Set()
}

func (s *server) detach(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lanes, l)
}

func (s *server) attached() []*lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	lanes := make([]*lane, 0, len(s.lanes))
	for l := range s.lanes {
		lanes = append(lanes, l)
	}
	return lanes
}

func (s *server) up() bool { return s.serving.Load() }

// status is what the probe says, or what rebuilds were refused with.
func (s *server) status() redisconn.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.serving.Load():
	case s.refusing.Load():
		return s.refusal
	case s.unlisted.Reason != "":
		return s.unlisted
	}
	return s.probed
}

// suspect takes in the error of a command: a refusal stands until a rebuild is
// served again, or another server is the primary; anything else is for the probe to
// find out, at once.
func (s *server) suspect(err error) {
	status := s.Hint(redisconn.Classify(err))
	s.erred(status.Reason)
	if status.Demoted() {
		s.elsewhere.Store(true)
		defer s.wantProbe.Set()
	}
	if !redisconn.IsReply(err) || status.Reason == redisconn.ConnectionFailed {
		s.wantProbe.Set()
		return
	}
	s.change(func() {
		s.refusal = status
		s.refusing.Store(true)
	})
}

// erred counts an error for the policies that use the server. A lane that is
// detached counts no more, so that what it showed can be forgotten.
func (s *server) erred(why redisconn.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := map[ID]bool{}
	for l := range s.lanes {
		if !told[l.id] {
			told[l.id] = true
			l.metrics.refused(why)
		}
	}
}

// served says that a rebuild could be written.
func (s *server) served() {
	if s.refusing.Load() {
		s.change(func() { s.refusing.Store(false) })
	}
}

// change alters the state, and tells the policies if that alters the status.
func (s *server) change(f func()) {
	before := s.status()
	s.mu.Lock()
	f()
	s.mu.Unlock()
	if after := s.status(); after.Reason != before.Reason {
		s.eng.opts.Log.Info("Redis status changed", "address", s.Address, "reason", after.Reason, "message", after.Message)
		for _, l := range s.attached() {
			l.do(func() { l.metrics.reach(l.srv.status()) }) // and wakes it
		}
		s.told()
	}
}

// told has the policies' statuses written anew.
func (s *server) told() {
	for _, l := range s.attached() {
		s.eng.opts.OnChange(l.id)
	}
}

// list reads all keys through whenever that is wanted, and at intervals.
func (s *server) list(ctx context.Context) {
	var began time.Time
	for ctx.Err() == nil {
		s.wantList.Wait(ctx, max(minListPause, s.listInterval()-time.Since(began)))
		_ = wake.Sleep(ctx, gather)
		if ctx.Err() != nil || !s.up() {
			continue // when it is up, a listing is wanted
		}
		s.subscribe(ctx)
		s.wantList.Clear()
		began = time.Now()
		err := s.listOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			s.took.Store(int64(time.Since(began)))
		}
		s.change(func() {
			s.unlisted = redisconn.Status{}
			if redisconn.IsReply(err) {
				s.unlisted = redisconn.Classify(err)
			}
		})
		if err != nil {
			s.erred(redisconn.Classify(err).Reason)
			s.wantProbe.Set()
			s.eng.opts.Log.Info("listing failed", "address", s.Address, "error", err.Error())
			_ = wake.Sleep(ctx, minListPause)
			s.wantList.Set()
		}
	}
}

// listInterval is from the beginning of a listing to that of the next, unless one
// takes longer: short enough for a new key to be found before it is due. Where that is
// heard of anyway, it is short enough for a key that was not heard of, or too early, to
// be found before it is stale. Deletions may not be heard of: kept keys are looked at.
func (s *server) listInterval() time.Duration {
	interval, heard := maxListPause, s.watch.Status().Heard()
	for _, l := range s.attached() {
		set := l.view.Load().set
		if heard && !set.kept() && set.KeyEvents != Off {
			interval = min(interval, set.timing.staleAge)
		} else {
			interval = min(interval, set.timing.staleAge/listingPerLife)
		}
	}
	return interval
}

func (s *server) listOnce(ctx context.Context) error {
	pass, run := s.eng.passes.Add(1), s.run()
	lanes := s.attached()
	var index keyspace.Index[*lane]
	for _, l := range lanes {
		l.do(func() { l.listing(pass) })
		set := l.view.Load().set
		if !set.kept() {
			index.Add(set.template, l)
			continue
		}
		err := discover.Inspect(ctx, s.rdb, set.Keys, func(found []discover.Found) error {
			l.do(func() { l.found(found, pass) })
			return nil
		})
		if err != nil {
			return err
		}
	}
	if index.Len() > 0 {
		if err := s.scan(ctx, &index, pass); err != nil {
			return err
		}
	}
	for _, l := range lanes {
		l.do(func() { l.listed(pass, run, time.Now()) })
	}
	return nil
}

// sample has lanes compare some of their keys with Redis, again and again: all
// lanes each time, or, where there are too many for that, some of them.
func (s *server) sample(ctx context.Context) {
	for ctx.Err() == nil {
		_ = wake.Sleep(ctx, sampleInterval)
		if s.up() {
			s.lookForEvictions(ctx)
		}
		left := int64(maxSample)
		for _, l := range s.attached() { // in a random order
			if left <= 0 || !s.up() {
				break
			}
			if v := l.view.Load(); v.Keys > 0 {
				left -= min(v.Keys, sampleSize)
				l.do(l.check)
			}
		}
	}
}

// scan lists all keys once for all lanes, and hands each lane its own.
func (s *server) scan(ctx context.Context, index *keyspace.Index[*lane], pass uint64) error {
	owner := func(key string) *lane {
		for _, l := range index.Find(key) {
			return l
		}
		return nil
	}
	wanted := func(key string) bool { return owner(key) != nil }
	return discover.Scan(ctx, s.rdb, index.Pattern(), wanted, func(found []discover.Found) error {
		shares := map[*lane][]discover.Found{}
		for _, f := range found {
			l := owner(f.Key)
			shares[l] = append(shares[l], f)
		}
		for l, share := range shares {
			l.do(func() { l.found(share, pass) })
		}
		return nil
	})
}
