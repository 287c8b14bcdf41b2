// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

func TestMain(m *testing.M) {
	redis.SetLogger(&logging.VoidLogger{}) // connections fail here on purpose
	goleak.VerifyTestMain(m)
}

// long is a lease, and a hold, that no test outlasts.
const long = time.Minute

// client never tries a command again, as the engine's client does not.
func client(t testing.TB, s *redistest.Server, change ...func(*redis.Options)) *redis.Client {
	o := &redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true}
	for _, c := range change {
		c(o)
	}
	rdb := redis.NewClient(o)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// one acquires the guard of a key, and releases it at the test's end.
func one(t testing.TB, g *Guard, key string, hold time.Duration) Acquisition {
	t.Helper()
	found, err := g.Acquire(t.Context(), []string{key}, hold)
	if err != nil {
		t.Fatal(err)
	}
	if l := found[0].Lease; l != nil {
		t.Cleanup(l.end)
	}
	return found[0]
}

// warm connects: go-redis keeps connections for pipelines apart.
func warm(t testing.TB, rdb *redis.Client) {
	t.Helper()
	_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Ping(t.Context())
		return nil
	})
	must(t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantValue(t testing.TB, rdb *redis.Client, key, want string) {
	t.Helper()
	if got, err := rdb.Get(context.Background(), key).Result(); err != nil || got != want {
		t.Errorf("%q holds %q (error %v), want %q", key, got, err, want)
	}
}

func wantNoKey(t testing.TB, rdb *redis.Client, key string) {
	t.Helper()
	if n, err := rdb.Exists(context.Background(), key).Result(); err != nil || n != 0 {
		t.Errorf("there is a key %q (error %v)", key, err)
	}
}

func wantEnd(t testing.TB, l *Lease, cause error, within time.Duration) {
	t.Helper()
	select {
	case <-l.Context().Done():
		if got := context.Cause(l.Context()); !errors.Is(got, cause) {
			t.Errorf("the lease's context ended with %v, want %v", got, cause)
		}
	case <-time.After(within + time.Millisecond):
		t.Fatalf("the lease's context had not ended after %s", within)
	}
}

// isOOM says that Redis refused something for want of memory.
func isOOM(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && strings.HasPrefix(reply.Error(), "OOM ")
}
