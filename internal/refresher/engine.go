// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package refresher is the engine that keeps the keys of policies fresh. It
// knows nothing of Kubernetes: whoever hosts it hands it Plans, and reads
// Snapshots.
//
//	Plan ──► Engine ──► store            one per Redis: clients, probes, listings
//	                 └► keyspaceworker   one per keyspace: schedule, rebuilds, account
//
// This package is the host's face: it starts and ends workers, and gives them what they
// share. A worker looks at a key when it should be due, asks Redis whether it still is
// while taking the key's guard, loads the value, and commits it if nothing happened to
// the key meanwhile. Redis decides, the schedule only reminds: a lost event, a restart,
// or two engines that work on one key cost a round trip, never a wrong value, nor a
// second load while the guard's lease holds.
package refresher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspaceworker"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/telemetry"
)

// Options are what an Engine takes from its host. The zero Options are usable.
type Options struct {
	// OnChange is called when something changed that a condition tells of. It
	// must return at once, and must not call the Engine.
	OnChange func(ID)

	// Ownership says which keys are this engine's to refresh, where several share
	// the work. All keys are, if it is nil.
	Ownership Ownership

	// Standby says whether another engine works on the same keys and goes first,
	// so that it alone calls the loaders while it keeps up: this one looks at a key
	// at the last moment, when it would become stale. It may change at any time.
	// None goes first, if it is nil.
	Standby func() bool

	// Lease is how long Redis holds a guard unless it is renewed
	// (guard.DefaultLease if zero).
	Lease time.Duration

	// Egress says to which addresses policies may have the engine connect. To all, if
	// it is nil.
	Egress *egress.Rules

	// Limits are each namespace's.
	Limits Limits

	// NetHTTP has loaders be called by net/http's transport alone, never by the engine's
	// own client for plain HTTP.
	NetHTTP bool

	Registerer prometheus.Registerer // for metrics; none if nil
	Log        *slog.Logger          // discards if nil

	topology topologyFunc // makes the servers of a Redis; standalone if nil
}

// Engine keeps the keys of policies fresh. It is safe for concurrent use.
type Engine struct {
	opts     Options
	metrics  *telemetry.Metrics
	listings atomic.Uint64  // begun, over all stores
	running  sync.WaitGroup // workers, and what ends them and stores
	tenants  tenants
	stop     context.CancelFunc // ends what follows Ownership

	changing sync.WaitGroup // calls of Apply and Remove

	// mu is never held over a wait: a worker that is stuck must not keep Healthy from
	// naming it, nor others from being changed.
	mu       sync.Mutex
	closed   bool
	turns    map[ID]*turn
	policies map[ID]*policy
	stores   map[endpoint]*sharedStore
}

// policy is one version of a policy. It is never changed, only replaced.
type policy struct {
	plan    Plan
	store   *sharedStore                      // nil without keyspaces
	workers map[string]*keyspaceworker.Worker // by keyspace
}

// New makes an engine without policies. Close ends it.
func New(opts Options) *Engine {
	if opts.OnChange == nil {
		opts.OnChange = func(ID) {}
	}
	if opts.Standby == nil {
		opts.Standby = func() bool { return false }
	}
	if opts.Lease == 0 {
		opts.Lease = guard.DefaultLease
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.topology == nil {
		opts.topology = standalone
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &Engine{
		opts:     opts,
		metrics:  telemetry.New(opts.Registerer),
		tenants:  tenants{limits: opts.Limits},
		stop:     stop,
		turns:    map[ID]*turn{},
		policies: map[ID]*policy{},
		stores:   map[endpoint]*sharedStore{},
	}
	if opts.Ownership != nil {
		e.running.Go(func() { e.followOwnership(ctx) })
	}
	return e
}

// ErrClosed is why an engine that was closed takes no plan.
var ErrClosed = errors.New("the engine is closed")

// Apply puts a plan into effect, in place of the policy's former one. What is
// known of keys is kept where the plan is still about the same keys, in the
// same Redis: a new password or a new loader costs no rebuild. With an error,
// which is a *PlanError where it lies in a keyspace, nothing has changed.
func (e *Engine) Apply(id ID, plan Plan) error {
	old, done, err := e.turn(id)
	if err != nil {
		return err
	}
	defer done()
	if old == nil {
		old = &policy{}
	} else if reflect.DeepEqual(old.plan, plan) {
		return nil
	}
	room := e.tenants.hold(id.Namespace).room
	defer e.tenants.release(id.Namespace)
	env := loader.Environment{Egress: e.opts.Egress.For(id.Namespace), Room: room, NetHTTP: e.opts.NetHTTP}
	sets := make([]*keyspaceworker.Settings, len(plan.Keyspaces))
	for i, k := range plan.Keyspaces {
		if sets[i], err = old.settings(k, env); err != nil {
			return err
		}
	}
	moves, err := e.replace(id, old, plan, sets)
	if err != nil {
		return err
	}
	for _, m := range moves {
		e.move(m, old.store)
	}
	return nil
}

// move is a worker that goes on with another assignment.
type move struct {
	worker *keyspaceworker.Worker
	to     *keyspaceworker.Assignment
	store  *sharedStore
}

// replace puts the next version of a policy in place of the old one, and says which
// workers go on in it. Those of the old one that do not are ended, new ones started.
func (e *Engine) replace(id ID, old *policy, plan Plan, sets []*keyspaceworker.Settings) (moves []move, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := &policy{plan: plan, workers: map[string]*keyspaceworker.Worker{}}
	if len(sets) > 0 {
		if next.store, err = e.holdStore(plan.Redis, e.opts.Egress.For(id.Namespace), len(sets)); err != nil {
			return nil, err
		}
	}
	ended := &policy{store: old.store, workers: maps.Clone(old.workers)}
	for _, set := range sets {
		to := plan.assignment(set, next.store)
		w := old.workers[set.Name]
		if w != nil && old.plan.Redis.Endpoint() == plan.Redis.Endpoint() && sameKeys(w.Assignment().Settings, set) {
			moves = append(moves, move{w, to, next.store})
			delete(ended.workers, set.Name)
		} else {
			w = e.start(id, to, next.store)
		}
		next.workers[set.Name] = w
	}
	e.policies[id] = next
	e.retire(id, ended)
	return moves, nil
}

// settings compiles a keyspace, or returns what is in use if it is the same.
func (p *policy) settings(k Keyspace, env loader.Environment) (*keyspaceworker.Settings, error) {
	for _, was := range p.plan.Keyspaces {
		if was.Name == k.Name && reflect.DeepEqual(was, k) {
			return p.workers[k.Name].Assignment().Settings, nil
		}
	}
	return compile(k, env)
}

// start begins to work on a keyspace.
func (e *Engine) start(id ID, a *keyspaceworker.Assignment, s *sharedStore) *keyspaceworker.Worker {
	t := e.tenants.hold(id.Namespace)
	w := keyspaceworker.New(keyspaceworker.Options{
		Policy: id.String(), Owns: e.owns(), Standby: e.opts.Standby, Lease: e.opts.Lease, Quota: t.quota, Turns: t.turns,
		Series:   e.metrics.Keyspace(telemetry.Keyspace{Namespace: id.Namespace, Policy: id.Name, Name: a.Name}),
		OnChange: func() { e.opts.OnChange(id) },
	}, a)
	e.running.Go(w.Run)
	s.Attach(w)
	return w
}

// move has a worker go on with another assignment, and ends its former hold on its store.
func (e *Engine) move(m move, from *sharedStore) {
	was := m.worker.Assignment()
	relist := was.Settings != m.to.Settings || was.Events != m.to.Events || was.ConfigureEvents != m.to.ConfigureEvents
	m.worker.Update(m.to)
	if from != m.store {
		m.store.Attach(m.worker)
		from.Detach(m.worker)
	} else if relist {
		m.store.Relist()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.releaseStore(from)
}

// Remove ends the work on a policy: loads are cut off, and guards released.
func (e *Engine) Remove(id ID) {
	old, done, err := e.turn(id)
	if err != nil {
		return
	}
	defer done()
	if old == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.policies, id)
	e.retire(id, old)
}

// retire ends workers without waiting for them.
func (e *Engine) retire(id ID, p *policy) {
	for name, w := range p.workers {
		e.running.Go(func() {
			w.Stop()
			<-w.Done()
			p.store.Detach(w)
			w.Close()
			e.tenants.release(id.Namespace)
			e.mu.Lock()
			defer e.mu.Unlock()
			e.releaseStore(p.store)
			if now := e.policies[id]; now == nil || now.workers[name] == nil {
				e.metrics.Forget(telemetry.Keyspace{Namespace: id.Namespace, Policy: id.Name, Name: name}, now == nil)
			}
		})
	}
}

// Healthy returns an error if a keyspace's loop has stopped turning: a restart
// would help. What is wrong with a Redis or a loader does not count.
func (e *Engine) Healthy() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, p := range e.policies {
		for name, w := range p.workers {
			if silent := w.Stuck(); silent > 0 {
				return fmt.Errorf("keyspace %q of policy %s has been stuck for %s", name, id, silent.Round(time.Second))
			}
		}
	}
	return nil
}

// Close ends the engine. Nothing new begins; what runs may finish until ctx
// ends and is cut off then. It returns when no guard is held any more.
func (e *Engine) Close(ctx context.Context) {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.stop()
	e.changing.Wait()
	e.mu.Lock()
	policies := e.policies
	e.policies = map[ID]*policy{}
	e.mu.Unlock()

	var workers []*keyspaceworker.Worker
	for _, p := range policies {
		for _, w := range p.workers {
			w.Drain()
			workers = append(workers, w)
		}
	}
	for _, w := range workers {
		select {
		case <-w.Done():
		case <-ctx.Done():
			w.Cancel()
			<-w.Done()
		}
	}
	e.mu.Lock()
	for id, p := range policies {
		e.retire(id, p)
	}
	e.mu.Unlock()
	e.running.Wait()
}
