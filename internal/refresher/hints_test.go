// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

func listening(t *testing.T, w *world, change ...func(*Keyspace)) *Engine {
	t.Helper()
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(change...)))
	eventually(t, "key events are heard", 10*time.Second, func() bool {
		snap, _ := e.Snapshot(catalog)
		return snap.Watch.Reason == watch.Watching && products(e).Listed
	})
	return e
}

// An application writes a key, and sets its lifetime a while later. The next listing
// is 40 s away, but for what is heard.
func TestALifetimeThatIsSetLaterIsHeardOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, "--notify-keyspace-events", "Kn")
	e := listening(t, w, long)
	time.Sleep(2 * time.Second) // what listings there are at first
	scans := w.calls("scan")
	later := map[string]func(key string){
		"SET + EXPIRE":     func(key string) { w.rdb.Set(t.Context(), key, "1", 0) },
		"INCR + EXPIRE":    func(key string) { w.rdb.Incr(t.Context(), key) },
		"PERSIST + EXPIRE": func(key string) { w.rdb.Set(t.Context(), key, "1", time.Minute); w.rdb.Persist(t.Context(), key) },
	}
	keys := 0
	for what, write := range later {
		for _, pause := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond, time.Second, 3 * time.Second} {
			for i := range 4 {
				key := fmt.Sprintf("product:%s %s %d", what, pause, i)
				write(key)
				keys++
				time.AfterFunc(pause, func() {
					if i%2 == 0 {
						w.rdb.Expire(t.Context(), key, 55*time.Second)
					} else {
						w.rdb.GetEx(t.Context(), key, 55*time.Second)
					}
				})
			}
		}
	}
	eventually(t, "all are tracked", 12*time.Second, func() bool { return products(e).Fresh == int64(keys) })
	if n := w.calls("scan"); n != scans {
		t.Errorf("by %d listings, which says nothing of events", n-scans)
	}
}

// A lifetime that is set when nobody looks at the key any more is found by a listing,
// and in time.
func TestListeningMakesTheNetNoWiderThanTheShortestLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, "--notify-keyspace-events", "Kn")
	e := listening(t, w) // expire 2s
	for i := range maxHints + 100 {
		w.rdb.Set(t.Context(), "product:"+strconv.Itoa(i), "1", 0)
	}
	time.Sleep(500 * time.Millisecond)
	w.rdb.Expire(t.Context(), "product:"+strconv.Itoa(maxHints+50), 2*time.Second)
	time.Sleep(5 * time.Second)
	if n := w.rdb.Exists(t.Context(), "product:"+strconv.Itoa(maxHints+50)).Val(); n == 0 {
		t.Error("the key has expired")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.servers {
		if every := s.listInterval(); every > 1240*time.Millisecond {
			t.Errorf("it is listed every %s, and a key lives for 2s", every)
		}
	}
}

// A key that never gets an expiry is looked at six times more, and then left alone.
func TestAKeyThatNeverExpiresIsNotLookedAtForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		rdb := redis.NewClient(&redis.Options{Addr: "never dialled"})
		defer func() { _ = rdb.Close() }()
		rdb.AddHook(neverExpires{&asked})
		set, err := compile(Keyspace{Name: "products", Key: "product:{id}", Expire: time.Hour, DueAfter: 40 * time.Minute, GuardTimeout: time.Second,
			Loader: &httploader.Config{URL: "http://loader/{id}", Timeout: time.Second}}, loader.Environment{})
		if err != nil {
			t.Fatal(err)
		}
		eng := New(Options{})
		srv := &server{eng: eng, rdb: &redisconn.Client{Client: rdb}}
		srv.serving.Store(true)
		l := newLane(eng, catalog, set, srv)
		go l.run()
		_ = l.told([]discover.Found{{Key: "product:1", TTL: discover.NoExpiry, At: time.Now()}})
		time.Sleep(5 * time.Minute)
		if n := asked.Load(); n != hintLooks {
			t.Errorf("%d looks, want %d", n, hintLooks)
		}
		l.stop()
		<-l.done
	})
}

// neverExpires answers PTTL of any key as of one without an expiry.
type neverExpires struct{ asked *atomic.Int64 }

func (neverExpires) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (neverExpires) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (n neverExpires) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			n.asked.Add(1)
			cmd.(*redis.Cmd).SetVal(int64(-1))
		}
		return nil
	}
}

func TestHintsAreBounded(t *testing.T) {
	now := time.Now()
	nobody := func(string) bool { return false }
	var h hints
	for i := range maxHints + 10 {
		h.heard([]discover.Found{{Key: strconv.Itoa(i), TTL: discover.NoExpiry}}, nobody, now)
	}
	if len(h.keys) != maxHints {
		t.Fatalf("%d keys are noted, want %d", len(h.keys), maxHints)
	}
	looks, end := 0, now
	for keys, wait := h.due(end); len(h.keys) > 0; keys, wait = h.due(end) {
		looks += len(keys)
		for _, key := range keys { // it still has no expiry
			h.looked([]discover.Found{{Key: key, TTL: discover.NoExpiry}}, nobody)
		}
		end = end.Add(wait)
	}
	if _, wait := h.due(end); len(h.keys) != 0 || wait < time.Hour {
		t.Errorf("%d keys are left, to be looked at in %s", len(h.keys), wait)
	}
	if took := end.Sub(now); looks < (hintLooks-1)*maxHints || took < 5*time.Second || took > 20*time.Second {
		t.Errorf("%d looks in %s", looks, took)
	}

	h.heard([]discover.Found{{Key: "a", TTL: discover.NoExpiry}, {Key: "b", TTL: discover.NoExpiry}, {Key: "c", TTL: discover.NoExpiry}}, nobody, now)
	h.heard([]discover.Found{{Key: "a", TTL: time.Second}, {Key: "b", TTL: discover.Missing}}, nobody, now)
	if keys, _ := h.due(now.Add(firstLook)); len(keys) != 1 || keys[0] != "c" {
		t.Errorf("%q are looked at, want c alone", keys)
	}
}
