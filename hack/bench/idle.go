// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher"
)

const million = 1_000_000

// percents is how much of a core this process uses, at rest, in rounds of a window
// each.
func percents(ctx context.Context, window time.Duration) ([]float64, error) {
	var found []float64
	for range rounds {
		began, used := time.Now(), cpu()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(window):
		}
		found = append(found, 100*float64(cpu()-used)/float64(time.Since(began)))
	}
	fmt.Printf("bench:   %.2f %% of a core\n", found)
	return found, nil
}

var idle = benchmark{
	rows: map[string]bar{"idle_cpu_percent": {1, false}},
	run: func(ctx context.Context, s *stage) (map[string]measured, error) {
		if err := s.seed(ctx, million); err != nil {
			return nil, err
		}
		e := refresher.New(refresher.Options{})
		defer e.Close(ctx)
		if err := e.Apply(policy, s.plan()); err != nil {
			return nil, err
		}
		if err := settle(ctx, e, million); err != nil {
			return nil, err
		}
		// The lists that a full listing follows come at intervals of minutes.
		found, err := percents(ctx, 10*time.Second)
		if err != nil {
			return nil, err
		}
		return map[string]measured{"idle_cpu_percent": {median(found), "% of a core"}}, nil
	},
}
