// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package discover reads from Redis which keys there are, and how long each
// has to live, at a pace that other clients do not feel.
package discover

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/wake"
)

const (
	// page is how many keys one SCAN step looks at. What it and depth trade for other
	// clients' latency is in docs/design.md.
	page = 64
	// depth is how many TTLs are asked for in one pipeline, for which other clients
	// wait.
	depth = 16
	// pauseFactor is how long to pause after a step, as a multiple of the time that the
	// step took: Redis spends at most a third of its one thread on a listing.
	pauseFactor = 2
)

// What TTL says of a key that has none.
const (
	NoExpiry = guard.NoExpiry
	Missing  = guard.Missing
)

// Found is what Redis said of a key.
type Found struct {
	Key string
	TTL time.Duration // or NoExpiry, or Missing
	At  time.Time     // when it was asked, by the local clock
}

// Scan lists the keys that match the glob pattern and that want accepts, each
// at least once, a step at a time. It stops with yield's error.
func Scan(ctx context.Context, rdb redis.Cmdable, pattern string, want func(key string) bool, yield func([]Found) error) error {
	var wanted []string
	for cursor := uint64(0); ; {
		began := time.Now()
		keys, next, err := rdb.Scan(ctx, cursor, pattern, page).Result()
		if err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		wanted = wanted[:0]
		for _, key := range keys {
			if want(key) {
				wanted = append(wanted, key)
			}
		}
		if err := inspect(ctx, rdb, wanted, began, yield); err != nil {
			return err
		}
		if next == 0 {
			return nil
		}
		cursor = next
	}
}

// Inspect reads the TTL of each key.
func Inspect(ctx context.Context, rdb redis.Cmdable, keys []string, yield func([]Found) error) error {
	return inspect(ctx, rdb, keys, time.Now(), yield)
}

func inspect(ctx context.Context, rdb redis.Cmdable, keys []string, began time.Time, yield func([]Found) error) error {
	for {
		some := keys[:min(depth, len(keys))]
		keys = keys[len(some):]
		found, err := ttls(ctx, rdb, some)
		if err != nil {
			return err
		}
		took := time.Since(began)
		if len(found) > 0 {
			if err := yield(found); err != nil {
				return err
			}
		}
		if err := wake.Sleep(ctx, pauseFactor*took); err != nil || len(keys) == 0 {
			return err
		}
		began = time.Now()
	}
}

func ttls(ctx context.Context, rdb redis.Cmdable, keys []string) ([]Found, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	asked := time.Now()
	replies := make([]*redis.Cmd, len(keys))
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			replies[i] = p.Do(ctx, "PTTL", key)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read TTLs: %w", err)
	}
	found := make([]Found, len(keys))
	for i, key := range keys {
		ttl, err := replies[i].Int64()
		if err != nil {
			return nil, fmt.Errorf("read TTLs: %w", err)
		}
		found[i] = Found{Key: key, TTL: guard.TTL(ttl), At: asked}
	}
	return found, nil
}
