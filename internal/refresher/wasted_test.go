// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"strings"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

func TestNearlyDue(t *testing.T) {
	minute := newTiming(Keyspace{Expire: time.Minute, DueAfter: 40 * time.Second, GuardTimeout: time.Second})
	short := newTiming(Keyspace{Expire: 5 * time.Second, DueAfter: 3 * time.Second, GuardTimeout: time.Second})
	for sentence, test := range map[string]struct {
		timing timing
		ttl    time.Duration
		want   bool
	}{
		"a key in the last quarter of its cycle is":          {minute, 25 * time.Second, true},
		"one that may still be read is not":                  {minute, 35 * time.Second, false},
		"one that is stale is no measure of a whole cycle":   {minute, 15 * time.Second, false},
		"one with a longer life than ours is not":            {minute, 2 * time.Minute, false},
		"nor is one that is gone":                            {minute, discover.Missing, false},
		"nor one without an expiry":                          {minute, discover.NoExpiry, false},
		"where cycles are short, Redis' clock is too coarse": {short, 2500 * time.Millisecond, false},
	} {
		if got := test.timing.nearlyDue([]discover.Found{{Key: "k", TTL: test.ttl}}); (len(got) == 1) != test.want {
			t.Errorf("%s: got %v", sentence, got)
		}
	}
}

func TestReaders(t *testing.T) {
	t.Parallel()
	w := redistest.Start(t)
	rdb := w.Client(t)
	e := New(Options{})
	defer e.Close(t.Context())
	s, err := newServer(e, endpoint{Config: redisconn.Config{Address: w.Addr}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
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
	if read, unread := s.readers(t.Context(), keys, expire); read != 1 || unread != 2 {
		t.Errorf("%d were read and %d not, want 1 and 2", read, unread)
	}

	rdb.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lfu")
	if read, unread := s.readers(t.Context(), keys, expire); read+unread != 0 {
		t.Errorf("under LFU %d and %d were counted", read, unread)
	}
	rdb.ConfigResetStat(t.Context())
	s.readers(t.Context(), keys, expire)
	if stats, err := rdb.Info(t.Context(), "commandstats").Result(); err != nil || strings.Contains(stats, "cmdstat_object") {
		t.Errorf("it is asked again what it cannot tell: %v, %s", err, stats)
	}
}
