// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

func TestAReadIsAHitOrAMissOrFails(t *testing.T) {
	server := redistest.Start(t)
	app := &application{catalog: &catalog{}, redis: redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})}
	defer app.close()
	key := appKey{name: "product:1", expire: time.Minute}

	app.readOne(t.Context(), key)
	if got, want := app.count.now(), (tally{reads: 1, misses: 1, slow: 1}); got != want {
		t.Errorf("%+v after the first read, want %+v: it waits for the backend", got, want)
	}
	if ttl := app.redis.PTTL(t.Context(), key.name).Val(); ttl <= 59*time.Second || ttl > time.Minute {
		t.Errorf("the miss was set with a lifetime of %s, want that of the key", ttl)
	}
	before := app.count.now()
	app.readOne(t.Context(), key)
	if got := app.count.now().since(before); got.hits() != 1 {
		t.Errorf("%+v in the second read, want a hit", got)
	}
	server.Stop()
	before = app.count.now()
	app.readOne(t.Context(), key)
	if got := app.count.now().since(before); got.failed != 1 || got.misses != 0 || got.hits() != 0 {
		t.Errorf("%+v without Redis, want a failure", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	before = app.count.now()
	app.readOne(ended, key)
	if got := app.count.now().since(before); got != (tally{}) {
		t.Errorf("%+v in a read that was cut short, want nothing", got)
	}
}

func TestSeededKeysLookAsIfLoadedOneAfterAnother(t *testing.T) {
	server := redistest.Start(t)
	s, err := shopSamples(t, shop)
	if err != nil {
		t.Fatal(err)
	}
	app := &application{catalog: &catalog{}, redis: redis.NewClient(&redis.Options{Addr: server.Addr}), existing: s.existing, kept: s.kept}
	defer app.close()
	if err := app.seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := app.redis.DBSize(t.Context()).Val(); n != existingKeys {
		t.Errorf("%d keys, want the %d existing ones: the kept ones are the operator's to fill", n, existingKeys)
	}
	least, most := time.Hour, time.Duration(0)
	for _, key := range s.existing {
		ttl := app.redis.PTTL(t.Context(), key.name).Val()
		least, most = min(least, ttl), max(most, ttl)
	}
	if least < 4*time.Second || most > 20*time.Second || most-least < 10*time.Second {
		t.Errorf("lifetimes from %s to %s, want them spread from 6s to 20s", least, most)
	}
}

func TestMeasureGoesByWhatRedisSays(t *testing.T) {
	server := redistest.Start(t)
	app := &application{catalog: &catalog{}, redis: redis.NewClient(&redis.Options{Addr: server.Addr})}
	defer app.close()
	left := map[string]time.Duration{"new": time.Minute, "due": 10 * time.Second, "longer than asked": time.Hour}
	for name, ttl := range left {
		app.redis.Set(t.Context(), name, "x", ttl)
	}
	for _, name := range []string{"new", "due", "longer than asked", "gone"} {
		app.existing = append(app.existing, appKey{name: name, expire: time.Minute, staleAfter: 40 * time.Second})
	}
	got, err := app.measure(t.Context())
	if want := (measure{fresh: 2, stale: 1, missing: 1}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}
