// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// outage is a world with keys of both kinds that a Redis outage comes over.
type outage struct {
	*world
	e       *Engine
	told    atomic.Int64 // OnChange
	kept    []string
	existed []string
}

const outageKeys = 60 // of each kind

func newOutage(t *testing.T) *outage {
	o := &outage{world: newWorld(t, 5*time.Millisecond), kept: names("kept:", outageKeys), existed: names("product:", outageKeys)}
	o.broken = true
	for _, key := range o.existed {
		o.set(key, "from the application", time.Minute)
	}
	o.e = o.engine(Options{OnChange: func(ID) { o.told.Add(1) }, Lease: time.Second})
	life := func(k *Keyspace) { k.Expire, k.DueAfter = time.Minute, 2*time.Second }
	o.apply(o.e, o.plan(o.keyspace(life), o.keyspace(life, func(k *Keyspace) {
		k.Name, k.Key, k.Keys, web(k).URL = "kept", "kept:{id}", o.kept, o.backend.URL+"/kept/{id}"
	})))
	eventually(t, "all keys are there and known", 10*time.Second, func() bool {
		return firstMissing(t, o.rdb, o.kept) == "" && products(o.e).Keys == outageKeys && inspect(t, o.e, "kept").Fresh == outageKeys
	})
	return o
}

func (o *outage) reason() redisconn.Reason {
	snap, _ := o.e.Snapshot(catalog)
	return snap.Redis.Reason
}

func (o *outage) await(reason redisconn.Reason) {
	o.t.Helper()
	before := o.told.Load()
	if o.reason() == reason {
		return
	}
	eventually(o.t, "Redis is told as "+string(reason), 20*time.Second, func() bool { return o.reason() == reason })
	eventually(o.t, "that is announced", time.Second, func() bool { return o.told.Load() > before })
}

// bounded fails if there are more loads than due at a time of return: each key
// once at most, and again as it comes due.
func (o *outage) bounded(since time.Time, loads int) {
	o.t.Helper()
	rounds := 2 + int(time.Since(since)/time.Second) // never due earlier than after half of 2 s
	if loads > rounds*2*outageKeys {
		o.t.Errorf("%d loads of %d keys within %s of the return", loads, 2*outageKeys, time.Since(since))
	}
	if n := o.backend.peak(); n > 2*6 { // of two keyspaces
		o.t.Errorf("%d loads at once", n)
	}
}

// Invariant 5: Redis gone: no crash, no leak, told in a condition; back:
// resync, without a storm.
//
// Redis is killed while loads run, stays away while keys come due, and comes
// back without any data. It runs alone, because it counts goroutines.
func TestInvariant5RedisIsKilledAndComesBackEmpty(t *testing.T) {
	o := newOutage(t)
	goroutines := runtime.NumGoroutine()

	o.redis.Stop()
	o.await(redisconn.ConnectionFailed)
	most, loads := 0, o.backend.total()
	for range 150 {
		most = max(most, runtime.NumGoroutine())
		time.Sleep(20 * time.Millisecond)
	}
	if most > goroutines+100 {
		t.Errorf("%d goroutines while Redis is away, %d before", most, goroutines)
	}
	if n := o.backend.total() - loads; n > 2*6 {
		t.Errorf("%d loads while their values could not be written", n)
	}

	loads = o.backend.total()
	if err := o.redis.Start(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	o.await(redisconn.Connected)
	eventually(t, "the kept keys are filled, and those of the application forgotten", 20*time.Second, func() bool {
		return inspect(t, o.e, "kept").Fresh == outageKeys && firstMissing(t, o.rdb, o.kept) == "" && products(o.e).Keys == 0
	})
	o.bounded(back, o.backend.total()-loads)
	for _, key := range o.existed {
		if o.get(key) != "" {
			t.Errorf("%s was revived", key)
		}
	}
	o.set("product:new", "from the application", 5*time.Second)
	eventually(t, "new keys are discovered", 10*time.Second, func() bool { return products(o.e).Keys == 1 })
}

// Redis freezes, with all connections open, for longer than leases and
// timeouts, and goes on as if nothing had been.
func TestInvariant5RedisFreezes(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	if err := o.redis.Freeze(); err != nil {
		t.Fatal(err)
	}
	o.await(redisconn.ConnectionFailed)
	loads := o.backend.total()
	time.Sleep(3 * time.Second)
	if n := o.backend.total() - loads; n > 2*6 {
		t.Errorf("%d loads while their values could not be written", n)
	}

	loads = o.backend.total()
	back := time.Now()
	if err := o.redis.Thaw(); err != nil {
		t.Fatal(err)
	}
	o.await(redisconn.Connected)
	eventually(t, "all keys are fresh again", 25*time.Second, func() bool {
		return inspect(t, o.e, "kept").Fresh == outageKeys && products(o.e).Fresh == outageKeys
	})
	o.bounded(back, o.backend.total()-loads)
}

// Redis throws out all clients, again and again.
func TestInvariant5RedisKillsConnections(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	loads, began := o.backend.total(), time.Now()
	for range 25 {
		o.rdb.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes")
		if key := firstMissing(t, o.rdb, append(o.kept, o.existed...)); key != "" {
			t.Fatalf("%s is missing", key)
		}
		time.Sleep(150 * time.Millisecond)
	}
	o.bounded(began, o.backend.total()-loads)
	o.await(redisconn.Connected)
	eventually(t, "all keys are fresh", 20*time.Second, func() bool {
		return inspect(t, o.e, "kept").Fresh == outageKeys && products(o.e).Fresh == outageKeys
	})
	o.bounded(began, o.backend.total()-loads)
}

// Closing an engine whose Redis hangs takes no longer than its timeouts.
func TestInvariant5AnEngineEndsThoughRedisHangs(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	if err := o.redis.Freeze(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	began := time.Now()
	o.e.Close(canceled())
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	if err := o.redis.Thaw(); err != nil {
		t.Fatal(err)
	}
}
