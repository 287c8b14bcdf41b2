// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

const (
	// late in its cycle is a key when it has lived for this share of the time to
	// its turning stale: who has not read it by then will hardly do so.
	lateInCycle = 0.75
	// idleStep is how exactly Redis knows for how long nobody has read a key.
	idleStep = time.Second
)

// nearlyDue are those of a sample that will soon be refreshed, so that it can be
// told whether their last refresh was wasted.
func (t timing) nearlyDue(said []discover.Found) (some []discover.Found) {
	from := time.Duration(lateInCycle * float64(t.staleAge))
	if t.staleAge-from < idleStep {
		return nil // Redis' clock is too coarse
	}
	for _, f := range said {
		if age := t.expire - f.TTL; f.TTL > 0 && age >= from && age <= t.staleAge {
			some = append(some, f)
		}
	}
	return some
}

// readers counts those of the keys that somebody has read since they were written,
// and those that nobody has. Reading a key ends the time for which it was idle, and
// so does writing it; what we ask of it otherwise does not. Redis cannot tell, or
// does not, under an LFU policy and to a user without the right: then it is not
// asked again until it comes anew.
func (s *server) readers(ctx context.Context, keys []discover.Found, expire time.Duration) (read, unread int) {
	if len(keys) == 0 || s.mute.Load() {
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
		case err == nil && idle[i].Val() < expire-f.TTL-2*idleStep:
			read++
		case err == nil:
			unread++
		case err != redis.Nil && redisconn.IsReply(err):
			s.mute.Store(true)
			return 0, 0
		}
	}
	return read, unread
}
