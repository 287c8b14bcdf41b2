// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/wake"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// ServerOptions are what a Server is made of.
type ServerOptions struct {
	Config redisconn.Config
	Client *redisconn.Client // of Config; the Server closes it
	Lease  time.Duration     // of guards

	// Number numbers listings: each number is greater than the one before.
	Number func() uint64

	Log *slog.Logger
}

// Server is one Redis server: a client, a guard and what commits its rebuilds, one probe,
// one listing and one subscription to its key events, for all subscribers.
type Server struct {
	ServerOptions
	Committer
	store *Redis
	rdb   *redisconn.Client
	guard *guard.Guard

	watch     *watch.Watcher
	listeners atomic.Pointer[keyspace.Index[Subscriber]] // to key events
	took      atomic.Int64                               // time of the last listing, in nanoseconds

	loops sync.WaitGroup

	evictions evictions // the sampling loop's
	memory    atomic.Pointer[Memory]

	wantList, wantProbe wake.Signal
	redialled           time.Time // when all connections were replaced last; the monitor's

	mu       sync.Mutex
	probed   redisconn.Status // what the last probe said
	refusal  redisconn.Status // why rebuilds are refused; counts while refusing
	unlisted redisconn.Status // why listings are refused; zero if they are served
	runID    string           // of the server that was probed last

	serving    atomic.Bool // probed is Connected
	refusing   atomic.Bool // rebuilds are refused
	elsewhere  atomic.Bool // the address may mean another server by now
	hidesReads atomic.Bool // it does not say when keys were read
}

var _ Node = (*Server)(nil)

// NewServer makes a Server. It does nothing before a Redis is opened with it.
func NewServer(opts ServerOptions) *Server {
	s := &Server{
		ServerOptions: opts, rdb: opts.Client, guard: guard.New(opts.Client.Client, opts.Lease),
		wantList: wake.NewSignal(), wantProbe: wake.NewSignal(),
		probed: redisconn.Status{Reason: redisconn.NotConnected, Message: "not connected yet"},
	}
	s.Committer.Guard = s.guard
	s.listeners.Store(&keyspace.Index[Subscriber]{})
	return s
}

// name tells the server from others of its store.
func (s *Server) name() string { return s.Config.Address }

func (s *Server) start(ctx context.Context, store *Redis) {
	s.store = store
	s.watch = watch.Start(s.rdb.Client, watch.Handler{
		Events: func(events []watch.Event) { s.heard(ctx, events) },
		Gap:    s.wantList.Set,
		Changed: func(now watch.Status) {
			if !now.Heard() {
				s.wantList.Set() // from now on often
			}
			for _, sub := range store.attached() {
				sub.EventsChanged()
			}
		},
	}, s.Log.With("address", s.Config.Address))
	s.loops.Go(func() { s.monitor(ctx) })
	s.loops.Go(func() { s.list(ctx) })
}

// stop waits for the end of the loops, whose context has ended.
func (s *Server) stop() {
	s.watch.Close()
	s.loops.Wait()
}

// close closes the client. Nobody may use it any more.
func (s *Server) close() {
	s.guard.Wait()
	_ = s.rdb.Close()
}

// Acquire tries to take the guards of keys.
func (s *Server) Acquire(ctx context.Context, keys []string, holdFor time.Duration) ([]guard.Acquisition, error) {
	return s.guard.Acquire(ctx, keys, holdFor)
}

func (s *Server) up() bool { return s.serving.Load() }

// status is what the probe says, or why rebuilds or listings are refused.
func (s *Server) status() redisconn.Status {
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

// Failed takes in the error of a command. A refusal counts until a rebuild is served
// again, or another server is the primary; anything else is for the probe to find out, at
// once.
func (s *Server) Failed(err error) {
	status := s.Config.Hint(redisconn.Classify(err))
	s.countError(status.Reason)
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

// countError counts an error once for each policy that uses the store. A subscriber that
// is detached counts no more, so that its metrics can be dropped.
func (s *Server) countError(why redisconn.Reason) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	counted := map[string]bool{}
	for sub := range s.store.subscribers {
		if policy := sub.Policy(); !counted[policy] {
			counted[policy] = true
			sub.RedisFailed(why)
		}
	}
}

// Served says that a rebuild could be written.
func (s *Server) Served() {
	if s.refusing.Load() {
		s.change(func() { s.refusing.Store(false) })
	}
}

// change alters the state, and tells the subscribers if that alters the status.
func (s *Server) change(f func()) {
	before := s.status()
	s.mu.Lock()
	f()
	s.mu.Unlock()
	if after := s.status(); after.Reason != before.Reason {
		s.Log.Info("Redis status changed", "address", s.Config.Address, "reason", after.Reason, "message", after.Message)
		for _, sub := range s.store.attached() {
			sub.RedisChanged()
		}
	}
}

// run is the server's run ID, which changes with a restart.
func (s *Server) run() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runID
}
