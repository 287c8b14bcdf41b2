// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher"
)

const readerCommand = "read"

// readKeys is an application: it reads keys one after the other for three seconds,
// and prints the 99th percentile of what a read took, in nanoseconds.
func readKeys(addr string) error {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = rdb.Close() }()
	var took []time.Duration
	for began := time.Now(); time.Since(began) < 3*time.Second; {
		asked := time.Now()
		if err := rdb.Get(ctx, keyOf(len(took)%million)).Err(); err != nil {
			return err
		}
		took = append(took, time.Since(asked))
	}
	slices.Sort(took)
	fmt.Println(took[len(took)*99/100].Nanoseconds())
	return nil
}

// readers has an application read in a process of its own.
func (s *stage) readers(ctx context.Context) (p99 float64, err error) {
	out, err := s.application(ctx, readerCommand)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(out, 64)
}

var listing = benchmark{
	rows: map[string]bar{"app_p99_ratio": {2, false}},
	run: func(ctx context.Context, s *stage) (map[string]measured, error) {
		if err := s.seed(ctx, million); err != nil {
			return nil, err
		}
		var with, without []float64
		for range rounds {
			alone, err := s.readers(ctx)
			if err != nil {
				return nil, err
			}
			beside, err := s.besideListing(ctx)
			if err != nil {
				return nil, err
			}
			with, without = append(with, beside), append(without, alone)
		}
		fmt.Printf("bench:   p99 of a GET: %.0f µs beside a listing, %.0f µs without\n", median(with)/1e3, median(without)/1e3)
		return map[string]measured{"app_p99_ratio": {over(with, without), "p99 of a GET during a listing / without"}}, nil
	},
}

// besideListing reads while an engine lists for the first time.
func (s *stage) besideListing(ctx context.Context) (float64, error) {
	e := refresher.New(refresher.Options{})
	defer e.Close(ctx)
	if err := e.Apply(policy, s.plan()); err != nil {
		return 0, err
	}
	err := poll(ctx, func() bool { is, _ := e.Snapshot(policy); return len(is.Keyspaces) == 1 && is.Keyspaces[0].Keys > 0 })
	if err != nil {
		return 0, err
	}
	p99, err := s.readers(ctx)
	if is, _ := e.Snapshot(policy); err == nil && is.Keyspaces[0].Listed {
		err = fmt.Errorf("the listing ended before the reads did")
	}
	return p99, err
}
