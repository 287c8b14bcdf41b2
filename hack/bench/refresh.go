// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher"
	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

var policy = refresher.ID{Namespace: "bench", Name: "products"}

// plan keeps the stage's keys, with a lifetime that makes none due by itself.
func (s *stage) plan() refresher.Plan {
	return refresher.Plan{
		Redis: redisconn.Config{Address: s.addr},
		Keyspaces: []refresher.Keyspace{{
			Name: "products", Key: "product:{id}",
			Expire: lifetime, DueAfter: lifetime * 62 / 100, GuardTimeout: 6 * time.Second,
			Loader:        httploader.Config{URL: s.loader + "/{key}"},
			MaxConcurrent: concurrency,
		}},
	}
}

const lifetime = 10 * time.Hour

// settle waits until the engine knows of all keys.
func settle(ctx context.Context, e *refresher.Engine, n int) error {
	return poll(ctx, func() bool {
		s, _ := e.Snapshot(policy)
		return len(s.Keyspaces) == 1 && s.Keyspaces[0].Listed && s.Keyspaces[0].Keys == int64(n)
	})
}

func poll(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// side is what one side of a ratio needed for a key.
type side struct{ wall, cpu, redis []float64 }

func (s *stage) add(ctx context.Context, to *side, n int, f func() error) error {
	redis, err1 := s.redisCPU(ctx)
	wall, used := time.Now(), cpu()
	err := f()
	to.cpu = append(to.cpu, float64(cpu()-used)/float64(n))
	to.wall = append(to.wall, float64(time.Since(wall))/float64(n))
	now, err2 := s.redisCPU(ctx)
	to.redis = append(to.redis, float64(now-redis)/float64(n))
	return errors.Join(err, err1, err2)
}

// over is the median of the rounds' ratios.
func over(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}

var refreshVsFloor = benchmark{
	rows: map[string]bar{"refresh_vs_floor": {0.95, true}, "refresh_cpu_vs_floor": {0.85, false}},
	run: func(ctx context.Context, s *stage) (map[string]measured, error) {
		engine, floor, err := s.compare(ctx, s.plan(), bare)
		if err != nil {
			return nil, err
		}
		return map[string]measured{
			"refresh_vs_floor":     {over(floor.wall, engine.wall), "engine's keys per second / bare loop's"},
			"refresh_cpu_vs_floor": {over(engine.cpu, floor.cpu), "engine's CPU per key / bare loop's"},
		}, nil
	},
}

// loop is a floor: it loads and writes so many keys.
type loop func(ctx context.Context, s *stage, client *http.Client, n int, expire time.Duration) error

// compare has an engine refresh all keys on demand, and the floor do the same, in
// turn.
func (s *stage) compare(ctx context.Context, plan refresher.Plan, bare loop) (engine, floor side, err error) {
	const n = 100_000
	if err = s.seed(ctx, n); err != nil {
		return engine, floor, err
	}
	e := refresher.New(refresher.Options{})
	defer e.Close(ctx)
	if err = e.Apply(policy, plan); err != nil {
		return engine, floor, err
	}
	if err = settle(ctx, e, n); err != nil {
		return engine, floor, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrency}}
	defer client.CloseIdleConnections()
	for round := range 3*rounds + 1 {
		plan.Refresh = strconv.Itoa(round)
		if err = s.add(ctx, &engine, n, func() error { return refreshAll(ctx, e, plan) }); err != nil {
			return engine, floor, err
		}
		if err = s.add(ctx, &floor, n, func() error { return bare(ctx, s, client, n, lifetime) }); err != nil {
			return engine, floor, err
		}
		if round == 0 {
			engine, floor = side{}, side{} // connections and pools are warm now
		}
	}
	report("engine", engine)
	report("floor", floor)
	return engine, floor, nil
}

func refreshAll(ctx context.Context, e *refresher.Engine, plan refresher.Plan) error {
	if err := e.Apply(policy, plan); err != nil {
		return err
	}
	var is refresher.Snapshot
	err := poll(ctx, func() bool {
		is, _ = e.Snapshot(policy)
		return is.Refreshed == plan.Refresh
	})
	if err == nil && is.Keyspaces[0].Loads.Failed > 0 {
		return fmt.Errorf("loads failed: %+v", is.Keyspaces[0].LastFailure)
	}
	return err
}

func report(name string, s side) {
	fmt.Printf("bench:   %-7s %6.0f keys/s, %4.1f µs of CPU a key, %4.1f of Redis'\n",
		name, 1e9/median(s.wall), median(s.cpu)/1e3, median(s.redis)/1e3)
}
