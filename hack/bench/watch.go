// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/keepfresh/keepfresh/internal/refresher"
)

// An application's cache: it writes some keys again and again, and a tenth of
// its writes are of keys that are new.
const (
	appWrites  = 100_000
	appKeys    = 50_000
	appClients = 50 // as redis-benchmark has
	newOneIn   = 10
)

var watching = benchmark{
	rows: map[string]bar{"watch_cost_ratio": {1.10, false}},
	run: func(ctx context.Context, s *stage) (map[string]measured, error) {
		var with, without []float64
		for range 4 * rounds { // a second each, in which the two differ by little
			alone, err := s.writes(ctx, func() error { return nil })
			if err != nil {
				return nil, err
			}
			watched, err := s.watchedWrites(ctx)
			if err != nil {
				return nil, err
			}
			with, without = append(with, watched), append(without, alone)
		}
		fmt.Printf("bench:   %.2f µs of Redis' CPU for a write that is watched, %.2f µs without\n", median(with), median(without))
		return map[string]measured{"watch_cost_ratio": {over(with, without), "Redis' CPU for a write, watched / unwatched; 1 key in 10 is new"}}, nil
	},
}

// watchedWrites writes while an engine hears of new keys. The server's setting is
// made and taken back, so that the unwatched rounds know nothing of it.
func (s *stage) watchedWrites(ctx context.Context) (float64, error) {
	e := refresher.New(refresher.Options{})
	defer e.Close(ctx)
	defer s.redis.ConfigSet(ctx, "notify-keyspace-events", "")
	plan := s.plan()
	plan.KeyEvents = refresher.Configure
	return s.writes(ctx, func() error {
		if err := e.Apply(policy, plan); err != nil {
			return err
		}
		return poll(ctx, func() bool {
			is, _ := e.Snapshot(policy)
			return len(is.Keyspaces) == 1 && is.Keyspaces[0].Listed && is.Watch.Heard()
		})
	})
}

// writes is what a write costs Redis, in microseconds. It begins with the same
// keys each time.
func (s *stage) writes(ctx context.Context, prepare func() error) (float64, error) {
	if err := s.redis.FlushDB(ctx).Err(); err != nil {
		return 0, err
	}
	if err := s.seed(ctx, appKeys); err != nil {
		return 0, err
	}
	if err := prepare(); err != nil {
		return 0, err
	}
	before, err := s.redisCPU(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := s.application(ctx, writerCommand); err != nil {
		return 0, err
	}
	after, err := s.redisCPU(ctx)
	return float64((after - before).Microseconds()) / appWrites, err
}

const writerCommand = "write"

// writeKeys is an application: its clients write keys one after the other.
func writeKeys(addr string) error {
	var clients errgroup.Group
	var next atomic.Int64
	for range appClients {
		clients.Go(func() error {
			rdb := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1})
			defer func() { _ = rdb.Close() }()
			for i := next.Add(1); i <= appWrites; i = next.Add(1) {
				key := keyOf(int(i) % appKeys)
				if i%newOneIn == 0 {
					key = keyOf(appKeys + int(i))
				}
				if err := rdb.Set(context.Background(), key, value, lifetime).Err(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return clients.Wait()
}
