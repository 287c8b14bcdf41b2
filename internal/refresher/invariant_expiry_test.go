// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Invariant 3: a tracked key whose loader is healthy and quick enough never
// expires.
//
// Hundreds of keys with a lifetime of seconds, half of them written at once,
// the others while it runs, some with less or more of a life than a rebuild
// gives, are read without a pause for several lifetimes: none may be missing
// once. Nor may that be bought by loading more often than is due.
func TestInvariant3NoTrackedKeyExpires(t *testing.T) {
	t.Parallel()
	const keys, lasts = 300, 12 * time.Second
	w := newWorld(t, 5*time.Millisecond)
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(func(k *Keyspace) {
		k.Expire, k.DueAfter, k.MaxConcurrent = 4*time.Second, 1400*time.Millisecond, 24
	})))

	// A key's first lifetime, in which it must be discovered, is at stake too.
	lifetimes := []time.Duration{4 * time.Second, 4 * time.Second, 3500 * time.Millisecond, 6 * time.Second}
	all := names("product:", keys)
	there := 0
	write := func(until int) {
		for ; there < until; there++ {
			w.set(all[there], "from the application", lifetimes[there%len(lifetimes)])
		}
	}
	write(keys / 2)
	reads := 0
	for began := time.Now(); time.Since(began) < lasts; reads++ {
		write(min(keys, keys/2+int(time.Since(began)/(20*time.Millisecond))))
		if key := firstMissing(t, w.rdb, all[:there]); key != "" {
			t.Fatalf("%s expired after %s, and %d loads of it", key, time.Since(began), w.backend.count(key[len("product:"):]))
		}
		time.Sleep(5 * time.Millisecond)
	}

	// A key is due after 1.4 s at most, and after half of that at least.
	for _, key := range all {
		if n := w.backend.count(key[len("product:"):]); n < 3 || n > 18 {
			t.Errorf("%s was loaded %d times in %s", key, n, lasts)
		}
	}
	if n := w.backend.total(); n > 11*keys {
		t.Errorf("%d loads of %d keys in %s; they are due after about 1.3 s", n, keys, lasts)
	}
	if s := products(e); s.Keys != keys || s.Missing != 0 {
		t.Errorf("%+v: want %d keys, none missing", s, keys)
	}
	t.Logf("%d loads; each key was read %d times", w.backend.total(), reads)
}

func firstMissing(t *testing.T, rdb *redis.Client, keys []string) string {
	t.Helper()
	values, err := rdb.MGet(t.Context(), keys...).Result()
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if v == nil {
			return keys[i]
		}
	}
	return ""
}
