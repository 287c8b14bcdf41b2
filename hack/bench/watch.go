// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
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
	appClients = 16
	newOneIn   = 10
)

var watching = benchmark{
	rows: map[string]bar{"watch_cost_ratio": {1.10, false}},
	run: func(ctx context.Context, s *stage) (map[string]measured, error) {
		if err := s.seed(ctx, appKeys); err != nil {
			return nil, err
		}
		var with, without []float64
		// Redis has more keys in each round: the two sides take turns in coming first.
		sides := []*[]float64{&without, &with}
		writes := map[*[]float64]func(context.Context, int) (float64, error){&without: s.writes, &with: s.watchedWrites}
		for round := range rounds + 3 {
			for i, side := range sides {
				cost, err := writes[side](ctx, 2*round+i)
				if err != nil {
					return nil, err
				}
				*side = append(*side, cost)
			}
			slices.Reverse(sides)
		}
		fmt.Printf("bench:   %.2f µs of Redis' CPU for a write that is watched, %.2f µs without\n", median(with), median(without))
		return map[string]measured{"watch_cost_ratio": {over(with, without), "Redis' CPU for a write, watched / unwatched; 1 key in 10 is new"}}, nil
	},
}

// watchedWrites writes while an engine hears of new keys. The server's setting is
// made and taken back, so that the unwatched rounds know nothing of it.
func (s *stage) watchedWrites(ctx context.Context, round int) (float64, error) {
	e := refresher.New(refresher.Options{})
	defer e.Close(ctx)
	defer s.redis.ConfigSet(ctx, "notify-keyspace-events", "")
	plan := s.plan()
	plan.Keyspaces[0].KeyEvents = refresher.Configure
	if err := e.Apply(policy, plan); err != nil {
		return 0, err
	}
	err := poll(ctx, func() bool {
		is, _ := e.Snapshot(policy)
		return len(is.Keyspaces) == 1 && is.Keyspaces[0].Listed && is.Watch.Heard()
	})
	if err != nil {
		return 0, err
	}
	return s.writes(ctx, round)
}

// writes is what a write costs Redis, in microseconds.
func (s *stage) writes(ctx context.Context, round int) (float64, error) {
	before, err := s.redisCPU(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := s.application(ctx, writerCommand, strconv.Itoa(round)); err != nil {
		return 0, err
	}
	after, err := s.redisCPU(ctx)
	return float64((after - before).Microseconds()) / appWrites, err
}

const writerCommand = "write"

// writeKeys is an application: its clients write keys one after the other. The new
// ones among them are new in each round.
func writeKeys(addr, round string) error {
	var clients errgroup.Group
	var next atomic.Int64
	for range appClients {
		clients.Go(func() error {
			rdb := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1})
			defer func() { _ = rdb.Close() }()
			for i := next.Add(1); i <= appWrites; i = next.Add(1) {
				key := keyOf(int(i) % appKeys)
				if i%newOneIn == 0 {
					key = fmt.Sprintf("product:%2s%014d", round, i)
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
