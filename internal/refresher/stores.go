// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"log/slog"
	"time"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
)

// endpoint is a Redis as reached with one set of credentials, by rules that judge alike.
// Policies with one endpoint share a store; not by address alone, since a policy must not
// gain another's access by naming its Redis.
type endpoint struct {
	redisconn.Config
	scope string
}

// sharedStore is a store with the number of workers that use it. Engine.mu guards that.
type sharedStore struct {
	*store.Redis
	at      endpoint
	workers int
}

// topologyFunc makes the servers of a Redis. Numbers of listings come from number.
type topologyFunc func(at redisconn.Config, rules *egress.Rules, lease time.Duration, number func() uint64, log *slog.Logger) (store.Topology, error)

// standalone is the topology of one server.
func standalone(at redisconn.Config, rules *egress.Rules, lease time.Duration, number func() uint64, log *slog.Logger) (store.Topology, error) {
	client, err := redisconn.New(at, rules)
	if err != nil {
		return nil, err
	}
	return store.Standalone(store.NewServer(store.ServerOptions{Config: at, Client: client, Lease: lease, Number: number, Log: log})), nil
}

// holdStore returns the store for a Config, for so many more workers. e.mu is held.
func (e *Engine) holdStore(conf redisconn.Config, rules *egress.Rules, workers int) (*sharedStore, error) {
	at := endpoint{conf, rules.Scope()}
	s := e.stores[at]
	if s == nil {
		topology, err := e.opts.topology(conf, rules, e.opts.Lease, func() uint64 { return e.listings.Add(1) }, e.opts.Log)
		if err != nil {
			return nil, err
		}
		s = &sharedStore{Redis: store.Open(topology), at: at}
		e.stores[at] = s
	}
	s.workers += workers
	return s, nil
}

// releaseStore ends a worker's hold on a store. e.mu is held.
func (e *Engine) releaseStore(s *sharedStore) {
	if s.workers--; s.workers == 0 {
		delete(e.stores, s.at)
		e.running.Go(s.Close)
	}
}
