// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"strings"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// A Service is repointed from one Redis to another, and the connections to the old one
// stay open: as a failover does it, and as a migration does.
func TestAnAddressThatComesToMeanAnotherRedisIsFollowed(t *testing.T) {
	for what, c := range map[string]struct {
		demote bool
		maxAge time.Duration
		within time.Duration
	}{
		"the old one becomes a replica":                    {demote: true, within: 5 * time.Second},
		"the old one stays a primary, for connections age": {maxAge: 500 * time.Millisecond, within: 5 * time.Second},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 0, "--notify-keyspace-events", "Kn")
			next := redistest.Start(t, "--notify-keyspace-events", "Kn")
			successor := next.Client(t)
			service := newProxy(t, w.redis.Addr)
			for _, key := range names("product:", 20) {
				w.set(key, "old", time.Minute)
				if err := successor.Set(t.Context(), key, "at the successor", 15*time.Second).Err(); err != nil {
					t.Fatal(err)
				}
			}
			w.broken = true // the guards that the old one holds are not to be reached any more
			e := w.engine(Options{})
			plan := w.plan(w.keyspace(long))
			plan.Redis.Address, plan.Redis.MaxAge = service.addr, c.maxAge
			w.apply(e, plan)
			eventually(t, "the old one is in use", 10*time.Second, func() bool { return products(e).Fresh == 20 })

			service.repoint(next.Addr)
			if c.demote {
				host, port, _ := strings.Cut(next.Addr, ":")
				w.rdb.ReplicaOf(t.Context(), host, port)
			}
			eventually(t, "keys are refreshed at the successor", c.within, func() bool {
				values, err := successor.MGet(t.Context(), names("product:", 20)...).Result()
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range values {
					if s, _ := v.(string); !strings.Contains(s, "load") {
						return false
					}
				}
				return true
			})
			eventually(t, "it is told as reachable", c.within, func() bool {
				snap, _ := e.Snapshot(catalog)
				return snap.Redis.Reason == redisconn.Connected && snap.Watch.Heard()
			})
			successor.Set(t.Context(), "product:new", "heard of", 10*time.Second)
			eventually(t, "events of the successor are heard", 5*time.Second, func() bool {
				return strings.Contains(successor.Get(t.Context(), "product:new").Val(), "load")
			})
		})
	}
}
