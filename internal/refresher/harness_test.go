// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is a loader endpoint that counts: GET /{id} answers with a value that
// differs each time. handle, if set, answers instead.
type backend struct {
	*httptest.Server
	mu      sync.Mutex
	loads   map[string]int
	running map[string]int
	most    int // loads of one key at once
	delay   time.Duration
	handle  http.HandlerFunc
}

func newBackend(t *testing.T, delay time.Duration) *backend {
	b := &backend{loads: map[string]int{}, running: map[string]int{}, delay: delay}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/")
	b.mu.Lock()
	b.loads[id]++
	b.running[id]++
	b.most = max(b.most, b.running[id])
	load, handle, delay := b.loads[id], b.handle, b.delay
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.running[id]--
		b.mu.Unlock()
	}()
	if handle != nil {
		handle(w, r)
		return
	}
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return
	}
	_, _ = fmt.Fprintf(w, "%s load %d", id, load)
}

func (b *backend) answer(h http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handle = h
}

func (b *backend) count(id string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.loads[id]
}

func (b *backend) total() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, loads := range b.loads {
		n += loads
	}
	return n
}

// world is a Redis, a backend, and engines that keep the one fresh from the other.
type world struct {
	t       *testing.T
	redis   *redistest.Server
	rdb     *redis.Client
	backend *backend
}

func newWorld(t *testing.T, delay time.Duration) *world {
	s := redistest.Start(t)
	return &world{t, s, s.Client(t), newBackend(t, delay)}
}

// engine starts an engine, and checks at the test's end that it leaves no guard.
func (w *world) engine(opts Options) *Engine {
	e := New(opts)
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		e.Close(ctx)
	})
	return e
}

// keyspace is the keyspace "products" with the keys product:{id}.
func (w *world) keyspace(change ...func(*Keyspace)) Keyspace {
	k := Keyspace{
		Name: "products", Key: "product:{id}",
		Expire: 2 * time.Second, DueAfter: 1240 * time.Millisecond, GuardTimeout: time.Second,
		Loader:        loader.HTTP{URL: w.backend.URL + "/{id}", Timeout: time.Second},
		MaxConcurrent: 6, OnNotFound: Delete,
	}
	for _, c := range change {
		c(&k)
	}
	return k
}

func (w *world) plan(keyspaces ...Keyspace) Plan {
	return Plan{Redis: redisconn.Config{Address: w.redis.Addr}, Keyspaces: keyspaces}
}

var catalog = ID{"shop", "catalog"}

func (w *world) apply(e *Engine, p Plan) {
	w.t.Helper()
	if err := e.Apply(catalog, p); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) set(key, value string, ttl time.Duration) {
	w.t.Helper()
	if err := w.rdb.Set(w.t.Context(), key, value, ttl).Err(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(key string) string {
	w.t.Helper()
	value, err := w.rdb.Get(w.t.Context(), key).Result()
	if err != nil && err != redis.Nil {
		w.t.Fatal(err)
	}
	return value
}

// products are the snapshot of the keyspace "products".
func products(e *Engine) KeyspaceSnapshot {
	snap, ok := e.Snapshot(catalog)
	if !ok || len(snap.Keyspaces) == 0 {
		return KeyspaceSnapshot{}
	}
	return snap.Keyspaces[0]
}

// eventually waits for what must come true.
func eventually(t *testing.T, what string, within time.Duration, check func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !check(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

func guards(t *testing.T, rdb *redis.Client) []string {
	t.Helper()
	keys, err := rdb.Keys(t.Context(), "keepfresh:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
