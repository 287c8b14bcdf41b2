// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package refresher is the engine that keeps the keys of policies fresh. It
// knows nothing of Kubernetes: whoever hosts it hands it Plans, and reads
// Snapshots.
//
//	Plan ──► Engine ──► server   one per Redis: client, probe, listing
//	                 └► lane     one per keyspace: schedule, rebuilds, account
//
// A lane looks at a key when it should be due, asks Redis whether it still is
// while taking the key's guard, loads the value, and commits it if nothing
// happened to the key meanwhile. Redis decides, the schedule only reminds: a
// lost event, a restart, or two engines that work on one key cost a round trip,
// never a wrong value, nor a second load while the guard's lease holds.
package refresher

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// Options are what an Engine takes from its host. The zero Options are usable.
type Options struct {
	// OnChange is called when something changed that a condition tells of. It
	// must return at once, and must not call the Engine.
	OnChange func(ID)

	// Owns says whether a key is this engine's to refresh, where several share
	// the work. All keys are, if it is nil.
	Owns func(key string) bool

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

	Registerer prometheus.Registerer // for metrics; none if nil
	Log        *slog.Logger          // discards if nil
}

// Engine keeps the keys of policies fresh. It is safe for concurrent use.
type Engine struct {
	opts    Options
	alone   bool // all keys are its own
	metrics *metrics
	passes  atomic.Uint64 // listings begun, over all servers
	running sync.WaitGroup
	tenants tenants

	changing sync.WaitGroup // calls of Apply and Remove

	// mu is never held over a wait: a lane that is stuck must not keep Healthy from
	// naming it, nor others from being changed.
	mu       sync.Mutex
	closed   bool
	turns    map[ID]*turn
	policies map[ID]*policy
	servers  map[endpoint]*shared
}

// endpoint is a Redis as reached with one set of credentials, by rules that judge alike.
type endpoint struct {
	redisconn.Config
	scope string
}

// policy is one version of a policy. It is never changed, only replaced.
type policy struct {
	plan  Plan
	srv   *server          // nil without keyspaces
	lanes map[string]*lane // by keyspace
}

// shared is a server with the number of lanes that use it.
type shared struct {
	*server
	lanes int
}

// New makes an engine without policies. Close ends it.
func New(opts Options) *Engine {
	if opts.OnChange == nil {
		opts.OnChange = func(ID) {}
	}
	alone := opts.Owns == nil
	if alone {
		opts.Owns = func(string) bool { return true }
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
	return &Engine{
		opts:     opts,
		alone:    alone,
		metrics:  newMetrics(opts.Registerer),
		tenants:  tenants{limits: opts.Limits},
		turns:    map[ID]*turn{},
		policies: map[ID]*policy{},
		servers:  map[endpoint]*shared{},
	}
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
	sets := make([]*settings, len(plan.Keyspaces))
	for i, k := range plan.Keyspaces {
		if sets[i], err = old.settings(k, loader.Environment{Egress: e.opts.Egress.For(id.Namespace), Room: room}); err != nil {
			return err
		}
	}
	moved, err := e.replace(id, old, plan, sets)
	if err != nil {
		return err
	}
	for _, m := range moved {
		e.update(m.lane, old.srv, m.set, m.srv, plan.refresh(m.set.Name))
	}
	return nil
}

// move is a lane that goes on with other settings.
type move struct {
	lane *lane
	set  *settings
	srv  *server
}

// replace puts the next version of a policy in place of the old one, and says which
// lanes go on in it. Those of the old one that do not are ended, new ones started.
func (e *Engine) replace(id ID, old *policy, plan Plan, sets []*settings) (moved []move, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := &policy{plan: plan, lanes: map[string]*lane{}}
	if len(sets) > 0 {
		if next.srv, err = e.acquire(plan.Redis, e.opts.Egress.For(id.Namespace), len(sets)); err != nil {
			return nil, err
		}
	}
	ended := &policy{srv: old.srv, lanes: maps.Clone(old.lanes)}
	for _, set := range sets {
		l := old.lanes[set.Name]
		if l != nil && old.plan.Redis.Endpoint() == plan.Redis.Endpoint() && sameKeys(l.view.Load().set.Keyspace, set.Keyspace) {
			moved = append(moved, move{l, set, next.srv})
			delete(ended.lanes, set.Name)
		} else {
			l = e.start(id, set, next.srv, plan.refresh(set.Name))
		}
		next.lanes[set.Name] = l
	}
	e.policies[id] = next
	e.retire(id, ended)
	return moved, nil
}

// settings compiles a keyspace, or returns what is in use if it is the same.
func (p *policy) settings(k Keyspace, env loader.Environment) (*settings, error) {
	for _, was := range p.plan.Keyspaces {
		if was.Name == k.Name && equal(was, k) {
			return p.lanes[k.Name].view.Load().set, nil
		}
	}
	return compile(k, env)
}

func (e *Engine) start(id ID, set *settings, srv *server, token string) *lane {
	l := newLane(e, id, set, srv)
	l.force.ask(token, l)
	e.running.Go(l.run)
	srv.attach(l)
	return l
}

func (e *Engine) update(l *lane, was *server, set *settings, srv *server, token string) {
	relist := set != l.view.Load().set
	_ = l.wait(context.Background(), func() { l.update(set, srv, token) })
	if was != srv {
		srv.attach(l)
		was.detach(l)
	} else if relist {
		srv.wantList.Set()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.release(was.endpoint) // the lane's former hold; it has a new one
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

// retire ends lanes without waiting for them.
func (e *Engine) retire(id ID, p *policy) {
	for name, l := range p.lanes {
		e.running.Go(func() {
			l.stop()
			<-l.done
			p.srv.detach(l)
			l.tenant.keys.Add(-int64(l.keys.Len()))
			e.tenants.release(id.Namespace)
			e.mu.Lock()
			defer e.mu.Unlock()
			e.release(p.srv.endpoint)
			if now := e.policies[id]; now == nil || now.lanes[name] == nil {
				e.metrics.forget(id, name, now == nil)
			}
		})
	}
}

// acquire returns the server for a Config, for so many more lanes.
func (e *Engine) acquire(conf redisconn.Config, rules *egress.Rules, lanes int) (*server, error) {
	at := endpoint{conf, rules.Scope()}
	s := e.servers[at]
	if s == nil {
		srv, err := newServer(e, at, rules)
		if err != nil {
			return nil, err
		}
		s = &shared{server: srv}
		e.servers[at] = s
	}
	s.lanes += lanes
	return s.server, nil
}

// release ends a lane's hold on a server.
func (e *Engine) release(at endpoint) {
	s := e.servers[at]
	if s.lanes--; s.lanes == 0 {
		delete(e.servers, at)
		e.running.Go(s.close)
	}
}

// Snapshot tells how a policy stands, and false if the engine does not have it.
func (e *Engine) Snapshot(id ID) (Snapshot, bool) {
	e.mu.Lock()
	defer e.mu.Unlock() // Apply moves lanes from one policy to the next
	p := e.policies[id]
	if p == nil {
		return Snapshot{}, false
	}
	snap := Snapshot{Redis: redisconn.Status{Reason: redisconn.NotConnected}, Refreshed: p.plan.Refresh}
	if p.srv != nil {
		snap.Redis = p.srv.status()
		snap.Watch = p.srv.watch.Status()
		snap.Memory = *p.srv.remembers()
		if p.plan.Keyspaces[0].KeyEvents == Off {
			snap.Watch = watch.Status{Reason: watch.Off, Message: "redis.keyEvents is Off"}
		}
	}
	snap.Keyspaces = make([]KeyspaceSnapshot, 0, len(p.plan.Keyspaces))
	for _, k := range p.plan.Keyspaces {
		if took := p.srv.took.Load(); took > 0 && !k.kept() {
			snap.ShortestExpire = max(snap.ShortestExpire, newTiming(k).keptByListing(time.Duration(took)))
		}
		v := p.lanes[k.Name].view.Load()
		snap.Keyspaces = append(snap.Keyspaces, v.KeyspaceSnapshot)
		if token := p.plan.refresh(k.Name); token != "" && v.refreshed != token {
			snap.Refreshed = ""
		}
	}
	return snap, true
}

// Close ends the engine. Nothing new begins; what runs may finish until ctx
// ends and is cut off then. It returns when no guard is held any more.
func (e *Engine) Close(ctx context.Context) {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.changing.Wait()
	e.mu.Lock()
	policies := e.policies
	e.policies = map[ID]*policy{}
	e.mu.Unlock()

	var lanes []*lane
	for _, p := range policies {
		for _, l := range p.lanes {
			l.drain()
			lanes = append(lanes, l)
		}
	}
	for _, l := range lanes {
		select {
		case <-l.done:
		case <-ctx.Done():
			l.cancel()
			<-l.done
		}
	}
	e.mu.Lock()
	for id, p := range policies {
		e.retire(id, p)
	}
	e.mu.Unlock()
	e.running.Wait()
}
