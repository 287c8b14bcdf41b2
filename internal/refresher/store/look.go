// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// Look is what Redis says of one key.
type Look struct {
	Redis redisconn.Status // Connected if it was asked, else why it could not be
	Type  string           // as by TYPE
	TTL   time.Duration    // or guard.NoExpiry, or guard.Missing
	Guard GuardState
}

// GuardState is who holds a key's guard.
type GuardState struct {
	Held bool
	Ours bool          // this engine rebuilds the key
	TTL  time.Duration // until Redis lets go of it, unless it is renewed
}

// Look asks Redis about a key, by commands that change nothing.
func (r *Redis) Look(ctx context.Context, key string) Look {
	s := r.topology.ServerOf(key)
	if !s.up() {
		return Look{Redis: s.status()}
	}
	var kind *redis.StatusCmd
	var ttl, held *redis.Cmd
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		kind, ttl, held = p.Type(ctx, key), p.Do(ctx, "PTTL", key), p.Do(ctx, "PTTL", guard.Name(key))
		return nil
	})
	if err != nil {
		return Look{Redis: redisconn.Classify(err)}
	}
	left, _ := ttl.Int64()
	lease, _ := held.Int64()
	return Look{
		Redis: redisconn.Status{Reason: redisconn.Connected}, Type: kind.Val(), TTL: guard.TTL(left),
		Guard: GuardState{Held: lease != guard.Missing, TTL: max(0, guard.TTL(lease))},
	}
}
