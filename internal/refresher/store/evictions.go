// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"strconv"

	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
)

// evictions count the keys that a Redis evicted, over as many looks as samples count for
// losses.
type evictions struct {
	looks [pacing.LossWindow + 1]int64 // the server's own count
	n     int
}

// add takes in the server's count, and returns how many of it are of the last looks. A
// count that is less than before is that of another run.
func (e *evictions) add(count int64) int64 {
	if e.n > 0 && count < e.looks[(e.n-1)%len(e.looks)] {
		e.n = 0
	}
	e.looks[e.n%len(e.looks)] = count
	e.n++
	return count - e.looks[max(0, e.n-len(e.looks))%len(e.looks)]
}

// unknownMemory is what is known where Redis does not tell.
var unknownMemory = Memory{Evicted: -1}

// remembers is what Redis said of its memory last.
func (s *Server) remembers() Memory {
	if m := s.memory.Load(); m != nil {
		return *m
	}
	return unknownMemory
}

// lookForEvictions asks Redis how many keys it has evicted, and for what.
func (s *Server) lookForEvictions(ctx context.Context) {
	info, err := s.rdb.InfoMap(ctx, "stats", "memory").Result()
	if err == nil {
		if count, err := strconv.ParseInt(info["Stats"]["evicted_keys"], 10, 64); err == nil {
			s.memory.Store(&Memory{Evicted: s.evictions.add(count),
				Limit: info["Memory"]["maxmemory_human"], Policy: info["Memory"]["maxmemory_policy"]})
			return
		}
	}
	s.evictions = evictions{}
	s.memory.Store(nil)
}
