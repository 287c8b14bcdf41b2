// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	concurrency = 64
	depth       = 128 // commands in a pipeline
)

type pair struct {
	key   string
	value []byte
}

// bare is the floor: it loads n keys, so many at once, and writes them, with
// nothing that would make it safe or timely.
func bare(ctx context.Context, s *stage, client *http.Client, n int, expire time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	loaded := make(chan pair, 2*depth)
	var next atomic.Int64
	var loads sync.WaitGroup
	for range concurrency {
		loads.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				key := keyOf(i)
				value, err := get(ctx, client, s.loader+"/"+key)
				if err != nil {
					cancel(err)
					return
				}
				loaded <- pair{key, value}
			}
		})
	}
	go func() {
		loads.Wait()
		close(loaded)
	}()
	for first := range loaded {
		_, err := s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, first.key, first.value, expire)
			for range min(len(loaded), depth-1) {
				next := <-loaded
				p.Set(ctx, next.key, next.value, expire)
			}
			return nil
		})
		if err != nil {
			cancel(err)
		}
	}
	return context.Cause(ctx)
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the loader says %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}
