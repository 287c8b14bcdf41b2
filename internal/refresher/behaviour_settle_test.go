// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"fmt"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// From a restart of Redis until the new listing and what is due by it, nobody
// is told of keys that were there before it.
func TestARedisThatComesBackEmptyIsSettledAnew(t *testing.T) {
	w := newWorld(t, 20*time.Millisecond)
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(func(k *Keyspace) {
		k.Expire, k.DueAfter = time.Minute, 37*time.Second
		for i := range 50 {
			k.Keys = append(k.Keys, fmt.Sprintf("product:%d", i))
		}
	})))
	eventually(t, "all is settled", 10*time.Second, func() bool { return products(e).Converged })
	w.redis.Stop()
	eventually(t, "the outage is told", 10*time.Second, func() bool { return redisReason(e) != redisconn.Connected })
	before := w.backend.total()
	if err := w.redis.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Redis is back", 20*time.Second, func() bool { return redisReason(e) == redisconn.Connected })
	eventually(t, "all is settled again", 10*time.Second, func() bool { return products(e).Converged })
	if loads := w.backend.total() - before; loads < 50 {
		t.Errorf("settled after %d of 50 keys were filled", loads)
	}
}

func TestANewLifetimeIsSettledAnew(t *testing.T) {
	w := newWorld(t, 50*time.Millisecond)
	e := w.engine(Options{})
	keyspace := w.keyspace(func(k *Keyspace) { k.Expire, k.DueAfter = 10*time.Second, 6*time.Second })
	for i := range 20 {
		w.set(fmt.Sprintf("product:%d", i), "v", 9*time.Second)
	}
	w.apply(e, w.plan(keyspace))
	eventually(t, "all is settled", 10*time.Second, func() bool { return products(e).Converged })

	keyspace.Expire, keyspace.DueAfter = time.Hour, time.Minute // by which all are old
	w.apply(e, w.plan(keyspace))
	if s := products(e); s.Converged {
		t.Errorf("still settled: %+v", s)
	}
	eventually(t, "all is settled again, and fresh", 10*time.Second, func() bool { s := products(e); return s.Converged && s.Fresh == 20 })
}

func redisReason(e *Engine) redisconn.Reason {
	snap, _ := e.Snapshot(catalog)
	return snap.Redis.Reason
}
