// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/wake"
)

// vitals are what a server says of itself that no event tells.
type vitals struct {
	run     string // its run_id
	flushes string // how often all keys were deleted or exchanged
}

// check writes a key of our own and deletes it, and then awaits the answer to a
// PING on the subscription. What was published of that key has arrived by then,
// as Redis keeps the order: seen has it. So this finds out what Redis sends, and
// whether the connection lives. Where Redis takes no writes, that is an error
// only if it has not worked before.
func (s *session) check(ctx context.Context) error {
	s.mu.Lock()
	was := s.seen
	s.seen = map[sight]bool{}
	s.mu.Unlock()

	var info *redis.StringCmd
	var set *redis.StatusCmd
	asking, cancel := context.WithTimeout(ctx, timeout)
	_, err := s.w.rdb.Pipelined(asking, func(p redis.Pipeliner) error {
		info = p.Info(asking, "server", "commandstats")
		p.PTTL(asking, s.probe) // a miss
		set = p.Set(asking, s.probe, "", time.Minute)
		p.Del(asking, s.probe)
		return nil
	})
	cancel()
	if err != nil && !redisconn.IsReply(err) {
		return err
	}
	if set.Err() != nil {
		if s.proven.IsZero() {
			return unavailable(set.Err())
		}
		s.mu.Lock()
		s.seen = was
		s.mu.Unlock()
	}
	if err := s.ping(ctx); err != nil {
		return err
	}
	s.compare(info.Val())
	return nil
}

// ping awaits the answer to a PING, and a little longer for what a proxy may have
// put behind it.
func (s *session) ping(ctx context.Context) error {
	sending, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.ps.Ping(sending, s.probe); err != nil {
		return err
	}
	switch a, err := s.await(ctx); a.(type) {
	case *redis.Pong:
	default:
		if err != nil {
			return err
		}
		return errInterrupted
	}
	if by, _ := s.choose(); by == 0 {
		_ = wake.Sleep(ctx, grace)
	}
	return ctx.Err()
}

// compare tells of a gap if the server is another run, or was flushed.
func (s *session) compare(info string) {
	now := vitalsOf(info)
	if was := s.last; was != (vitals{}) && now.run != "" && now != was {
		s.w.log.Info("Redis was flushed or exchanged; listing anew")
		s.w.h.Gap()
	}
	if now.run != "" {
		s.last = now
	}
}

func vitalsOf(info string) (v vitals) {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "run_id":
			v.run = value
		case "cmdstat_flushall", "cmdstat_flushdb", "cmdstat_swapdb":
			calls, _, _ := strings.Cut(value, ",")
			v.flushes += name + calls + " "
		}
	}
	return v
}

func unavailable(err error) error {
	status := redisconn.Classify(err)
	if !redisconn.IsReply(err) {
		return errors.New(status.Message)
	}
	return refused{Unavailable, status.Message}
}
