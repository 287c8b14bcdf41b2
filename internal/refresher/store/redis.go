// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/wake"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// Topology says which servers a Redis has, and which of them holds a key.
type Topology interface {
	Servers() []*Server // at least one
	ServerOf(key string) *Server
}

// Standalone is the topology of one server.
func Standalone(s *Server) Topology { return standalone{s} }

type standalone struct{ server *Server }

func (s standalone) Servers() []*Server      { return []*Server{s.server} }
func (s standalone) ServerOf(string) *Server { return s.server }

const (
	// SampleSize is how many keys of a keyspace are compared with Redis at a time.
	SampleSize     = 100
	sampleInterval = 10 * time.Second
	// maxSample bounds the keys of all subscribers that are sampled at a time: the cost
	// for the operator and for Redis must not grow with the number of keyspaces.
	maxSample = 2000
)

// Redis is a Store made of servers. Make one with Open.
type Redis struct {
	topology Topology

	cancel context.CancelFunc
	loops  sync.WaitGroup
	users  sync.WaitGroup // rebuilds and samples under way

	mu          sync.Mutex
	subscribers map[Subscriber]struct{}
}

var _ Store = (*Redis)(nil)

// Open begins to probe, list and watch the servers of a topology. Close ends that.
func Open(t Topology) *Redis {
	r := &Redis{topology: t, subscribers: map[Subscriber]struct{}{}}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	for _, s := range t.Servers() {
		s.start(ctx, r)
	}
	r.loops.Go(func() { r.sample(ctx) })
	return r
}

// Close ends the loops, and closes the clients once no rebuild uses them.
func (r *Redis) Close() {
	r.cancel()
	for _, s := range r.topology.Servers() {
		s.stop()
	}
	r.loops.Wait()
	r.users.Wait()
	for _, s := range r.topology.Servers() {
		s.close()
	}
}

// Attach has a subscriber told of its keys, and of the servers' coming and going.
func (r *Redis) Attach(sub Subscriber) {
	r.mu.Lock()
	r.subscribers[sub] = struct{}{}
	r.mu.Unlock()
	r.Relist()
}

// Detach ends that. What is under way may still be told.
func (r *Redis) Detach(sub Subscriber) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.subscribers, sub)
}

// attached are the subscribers, in a random order.
func (r *Redis) attached() []Subscriber {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Subscriber, 0, len(r.subscribers))
	for sub := range r.subscribers {
		all = append(all, sub)
	}
	return all
}

// NodeOf is the server that holds a key.
func (r *Redis) NodeOf(key string) Node { return r.topology.ServerOf(key) }

// Up says that some server serves.
func (r *Redis) Up() bool {
	return slices.ContainsFunc(r.topology.Servers(), (*Server).up)
}

// Status is that of the first server that does not serve, or else of the first.
func (r *Redis) Status() redisconn.Status {
	servers := r.topology.Servers()
	for _, s := range servers {
		if status := s.status(); status.Reason != redisconn.Connected {
			return status
		}
	}
	return servers[0].status()
}

// Watch is how key events stand with the first server of which not all are heard, or else
// with the first.
func (r *Redis) Watch() watch.Status {
	servers := r.topology.Servers()
	for _, s := range servers {
		if status := s.watch.Status(); status.Reason != watch.Watching {
			return status
		}
	}
	return servers[0].watch.Status()
}

// Memory sums up what the servers say.
func (r *Redis) Memory() Memory {
	servers := r.topology.Servers()
	sum := servers[0].remembers()
	for _, s := range servers[1:] {
		m := s.remembers()
		if sum.Evicted < 0 || m.Evicted < 0 {
			return unknownMemory
		}
		sum.Evicted += m.Evicted
	}
	return sum
}

// ListingTook is how long the last listing of the slowest server took; 0 before the first.
func (r *Redis) ListingTook() (longest time.Duration) {
	for _, s := range r.topology.Servers() {
		longest = max(longest, time.Duration(s.took.Load()))
	}
	return longest
}

// Relist asks for a listing of all servers.
func (r *Redis) Relist() {
	for _, s := range r.topology.Servers() {
		s.wantList.Set()
	}
}

// Use keeps the clients open for n more users.
func (r *Redis) Use(n int) { r.users.Add(n) }

// Done ends the use of n users.
func (r *Redis) Done(n int) { r.users.Add(-n) }

// Failed takes in the error of Inspect: all servers are probed at once, as it is not known
// whose it is.
func (r *Redis) Failed(err error) {
	for _, s := range r.topology.Servers() {
		s.Failed(err)
	}
}

// Inspect reads the TTL of each key from its server.
func (r *Redis) Inspect(ctx context.Context, keys []string, yield func([]discover.Found) error) error {
	return r.each(keys, func(s *Server, some []string) error {
		return discover.Inspect(ctx, s.rdb, some, yield)
	})
}

// each calls f for each server with its share of the keys.
func (r *Redis) each(keys []string, f func(*Server, []string) error) error {
	servers := r.topology.Servers()
	if len(servers) == 1 {
		return f(servers[0], keys)
	}
	shares := map[*Server][]string{}
	for _, key := range keys {
		s := r.topology.ServerOf(key)
		shares[s] = append(shares[s], key)
	}
	for s, some := range shares {
		if err := f(s, some); err != nil {
			return err
		}
	}
	return nil
}

// sample has subscribers compare some of their keys with Redis, again and again: all of
// them each time, or, where there are too many for that, some of them.
func (r *Redis) sample(ctx context.Context) {
	for wake.Sleep(ctx, sampleInterval) == nil {
		for _, s := range r.topology.Servers() {
			if s.up() {
				s.lookForEvictions(ctx)
			}
		}
		left := int64(maxSample)
		for _, sub := range r.attached() {
			if left <= 0 || !r.Up() {
				break
			}
			left -= sub.Sample()
		}
	}
}
