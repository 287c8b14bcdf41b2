// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/discover"
)

func TestReadsAreCounted(t *testing.T) {
	t.Parallel()
	w := redistest.Start(t)
	rdb := w.Client(t)
	s := open(t, w.Addr)
	const expire = time.Minute
	var keys []discover.Found
	for _, key := range []string{"read", "unread", "untouched"} {
		rdb.Set(t.Context(), key, "a value of some length", expire)
	}
	time.Sleep(4 * time.Second)
	rdb.Get(t.Context(), "read")
	rdb.PTTL(t.Context(), "unread") // as a rebuild does
	for _, key := range []string{"read", "unread", "untouched", "gone"} {
		keys = append(keys, discover.Found{Key: key, TTL: expire - 4*time.Second})
	}
	if read, unread := s.CountReads(t.Context(), keys, expire); read != 1 || unread != 2 {
		t.Errorf("%d were read and %d not, want 1 and 2", read, unread)
	}

	rdb.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lfu")
	if read, unread := s.CountReads(t.Context(), keys, expire); read+unread != 0 {
		t.Errorf("under LFU %d and %d were counted", read, unread)
	}
	rdb.ConfigResetStat(t.Context())
	s.CountReads(t.Context(), keys, expire)
	if stats, err := rdb.Info(t.Context(), "commandstats").Result(); err != nil || strings.Contains(stats, "cmdstat_object") {
		t.Errorf("it is asked again what it cannot tell: %v, %s", err, stats)
	}
}
