// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// IdleStep is how exactly Redis knows for how long nobody has read a key.
const IdleStep = time.Second

// CountReads counts those of the keys that somebody has read since they were written,
// and those that nobody has. Reading a key ends the time for which it was idle, and
// so does writing it; what we ask of it otherwise does not. Redis cannot tell, or
// does not, under an LFU policy and to a user without the right: then it is not
// asked again until it has been down and up.
func (r *Redis) CountReads(ctx context.Context, keys []discover.Found, expire time.Duration) (read, unread int) {
	shares := map[*Server][]discover.Found{}
	for _, f := range keys {
		s := r.topology.ServerOf(f.Key)
		shares[s] = append(shares[s], f)
	}
	for s, some := range shares {
		yes, no := s.countReads(ctx, some, expire)
		read, unread = read+yes, unread+no
	}
	return read, unread
}

func (s *Server) countReads(ctx context.Context, keys []discover.Found, expire time.Duration) (read, unread int) {
	if s.hidesReads.Load() {
		return 0, 0
	}
	idle := make([]*redis.DurationCmd, len(keys))
	_, _ = s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, f := range keys {
			idle[i] = p.ObjectIdleTime(ctx, f.Key)
		}
		return nil
	})
	for i, f := range keys {
		switch err := idle[i].Err(); {
		case err == nil && idle[i].Val() < expire-f.TTL-2*IdleStep:
			read++
		case err == nil:
			unread++
		case !errors.Is(err, redis.Nil) && redisconn.IsReply(err):
			s.hidesReads.Store(true)
			return 0, 0
		}
	}
	return read, unread
}
