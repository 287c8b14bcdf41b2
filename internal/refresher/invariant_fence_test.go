// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// Invariant 2: a value written or deleted by the application while a rebuild
// runs is never overwritten by it.
//
// An application writes and deletes the same keys at random moments while every
// key is being refreshed on demand all the time, by two engines. One logical
// clock orders what happens: a load takes its time when it begins and returns
// it as the value; the application takes it before it sends a command. So if
// that command has been answered, and a value is read later whose load is older
// than the command, then it was written over the application's. Readers look
// for that thousands of times a second.
//
// The fence compares expiries to the millisecond, so the application gives each
// key expiries that only ever grow, and that lie beyond those of a rebuild.
func TestInvariant2TheApplicationWins(t *testing.T) {
	t.Parallel()
	const keys, lasts = 16, 6 * time.Second
	w := newWorld(t, 0)
	var clock atomic.Int64
	w.backend.answer(func(rw http.ResponseWriter, r *http.Request) {
		began := clock.Add(1)
		if pause(r, rand.N(60*time.Millisecond)) {
			_, _ = fmt.Fprintf(rw, "load %d", began)
		}
	})
	metrics := prometheus.NewRegistry()
	plan := w.plan(
		w.keyspace(func(k *Keyspace) { k.Expire, k.DueAfter, k.MaxConcurrent = time.Second, 200*time.Millisecond, keys }),
		w.keyspace(func(k *Keyspace) {
			k.Name, k.Key, k.Keys = "kept", "kept:{id}", names("kept:", keys)
			k.Expire, k.DueAfter, k.MaxConcurrent = time.Second, 200*time.Millisecond, keys
		}),
	)
	first, second := w.engine(Options{Registerer: metrics}), w.engine(Options{})

	ctx, stop := context.WithTimeout(t.Context(), lasts)
	defer stop()
	var all []*written
	var apps, readers sync.WaitGroup
	for _, name := range names("product:", keys) {
		all = append(all, &written{key: name, deletes: true})
	}
	for _, name := range names("kept:", keys) {
		all = append(all, &written{key: name}) // to delete one means: fill it
	}
	for _, k := range all {
		apps.Go(func() { k.application(ctx, t, w.rdb, &clock) })
	}
	for range 3 {
		readers.Go(func() { readAll(ctx, t, w.rdb, all) })
	}
	for i := 0; ctx.Err() == nil; i++ {
		plan.Refresh = fmt.Sprint(i)
		w.apply(first, plan)
		w.apply(second, plan)
		time.Sleep(50 * time.Millisecond)
	}
	apps.Wait()
	readers.Wait()

	won := metric(t, metrics, "keepfresh_rebuilds_total", "changed")
	commits := metric(t, metrics, "keepfresh_rebuilds_total", "committed")
	if won < 100 || commits < 100 {
		t.Errorf("%v rebuilds met a write, %v did not: this test does not try", won, commits)
	}
	t.Logf("in one of two engines, %v rebuilds met a write and gave way; %v did not", won, commits)
}

// written is a key that the application writes and deletes.
type written struct {
	key     string
	deletes bool
	last    atomic.Int64 // the clock before the last command that was answered
	expires int64        // in milliseconds
}

func (k *written) application(ctx context.Context, t *testing.T, rdb *redis.Client, clock *atomic.Int64) {
	for ctx.Err() == nil {
		before := clock.Add(1)
		var err error
		if k.deletes && rand.IntN(3) == 0 {
			err = rdb.Del(ctx, k.key).Err()
		} else {
			k.expires = max(time.Now().Add(1500*time.Millisecond).UnixMilli(), k.expires+1)
			err = rdb.Do(ctx, "SET", k.key, fmt.Sprintf("app %d", before), "PXAT", k.expires).Err()
		}
		if err == nil {
			k.last.Store(before)
		} else if ctx.Err() == nil {
			t.Error(err)
			return
		}
		time.Sleep(2*time.Millisecond + rand.N(120*time.Millisecond))
	}
}

func readAll(ctx context.Context, t *testing.T, rdb *redis.Client, all []*written) {
	keys := make([]string, len(all))
	for i, k := range all {
		keys[i] = k.key
	}
	last := make([]int64, len(all))
	for ; ctx.Err() == nil; time.Sleep(200 * time.Microsecond) {
		for i, k := range all {
			last[i] = k.last.Load()
		}
		values, err := rdb.MGet(ctx, keys...).Result()
		if err != nil {
			continue // at the end
		}
		for i, value := range values {
			var by string
			var at int64
			if s, ok := value.(string); !ok || !parse(s, &by, &at) {
				continue
			}
			if at < last[i] {
				t.Errorf("%s holds what %s %d brought, after the application's command at %d was answered", keys[i], by, at, last[i])
				return
			}
		}
	}
}

func parse(s string, by *string, at *int64) bool {
	n, _ := fmt.Sscan(strings.TrimSpace(s), by, at)
	return n == 2
}
