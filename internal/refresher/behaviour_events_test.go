// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// Events are subscribed to at a listing, and the next one would come in 20 s.
func TestAPolicyThatTurnsKeyEventsOnIsToldOfThemAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0, "--notify-keyspace-events", "Kn")
	e := w.engine(Options{})
	plan := w.plan(w.keyspace(long))
	for _, c := range []struct {
		events KeyEvents
		want   watch.Reason
	}{{Off, watch.Off}, {Auto, watch.Watching}, {Off, watch.Off}} {
		plan.KeyEvents = c.events
		w.apply(e, plan)
		eventually(t, "key events are "+string(c.events), 8*time.Second, func() bool {
			snap, _ := e.Snapshot(catalog)
			return snap.Watch.Reason == c.want && products(e).Listed
		})
	}
}

// watching is a plan that has Redis configured to send key events.
func (w *world) watching(keyspaces ...Keyspace) Plan {
	p := w.plan(keyspaces...)
	p.KeyEvents = Configure
	return p
}

func rebuilt(k *Keyspace) { k.OnMiss = Rebuild }

func wantWatching(t *testing.T, e *Engine) {
	t.Helper()
	eventually(t, "the watch", 5*time.Second, func() bool {
		snap, _ := e.Snapshot(catalog)
		return snap.Watch.Reason == watch.Watching && products(e).Listed
	})
}

// So short a life that no listing would find it in time.
func TestAKeyThatLivesShortlyIsKeptByItsEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	e := w.engine(Options{})
	w.apply(e, w.watching(w.keyspace(func(k *Keyspace) {
		k.Expire, k.DueAfter = time.Minute, 30*time.Second // listings are 15 s apart, or with events 5 min
	})))
	wantWatching(t, e)
	w.set("product:1", "the application's", 5*time.Second)
	eventually(t, "a load", 4*time.Second, func() bool { return w.backend.count("1") == 1 })
	eventually(t, "the value", time.Second, func() bool {
		return strings.Contains(w.get("product:1"), "1") && w.get("product:1") != "the application's"
	})
}

func TestAFlushIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	e := w.engine(Options{})
	w.set("product:1", "v", time.Minute)
	w.apply(e, w.watching(w.keyspace(func(k *Keyspace) { k.Expire, k.DueAfter = time.Minute, 30*time.Second })))
	wantWatching(t, e)
	eventually(t, "the key", 5*time.Second, func() bool { return products(e).Keys == 1 })
	time.Sleep(6 * time.Second) // until the Watcher knows the counts of before
	if err := w.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", 15*time.Second, func() bool { return products(e).Keys == 0 })
}

func TestAMissIsFilledOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 50*time.Millisecond)
	e := w.engine(Options{})
	w.apply(e, w.watching(w.keyspace(rebuilt, func(k *Keyspace) { k.Expire, k.DueAfter = time.Minute, 40*time.Second })))
	wantWatching(t, e)
	for range 500 {
		w.get("product:1")
	}
	eventually(t, "the value", 5*time.Second, func() bool { return w.get("product:1") != "" })
	for range 50 {
		w.get("product:2:not-of-the-template")
		w.get("product:1")
	}
	time.Sleep(time.Second)
	if n := w.backend.total(); n != 1 {
		t.Errorf("%d loads, want 1", n)
	}
	if n := products(e).Keys; n != 1 {
		t.Errorf("%d keys, want 1", n)
	}
}

func TestMissesOfKeysThatTheLoaderDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.backend.status(http.StatusNotFound)
	e := w.engine(Options{})
	w.apply(e, w.watching(w.keyspace(rebuilt, func(k *Keyspace) { k.Expire, k.DueAfter = time.Minute, 40*time.Second })))
	wantWatching(t, e)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		w.get("product:1")
		w.get(fmt.Sprintf("product:random%d", time.Now().UnixNano()))
		time.Sleep(time.Millisecond)
	}
	if n := w.backend.count("1"); n != 1 {
		t.Errorf("%d loads of one key, want 1", n)
	}
	if n := w.backend.total(); n < 100 {
		t.Errorf("only %d loads", n)
	}
	eventually(t, "no keys", 3*time.Second, func() bool { k := products(e); return k.Keys == 0 && k.Ignored == 0 })
}

// What nobody reads stays away: neither listings, samples nor looks at keys that
// are due bring it back.
func TestOwnLooksBringNothingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	e := w.engine(Options{})
	w.apply(e, w.watching(w.keyspace(rebuilt)))
	wantWatching(t, e)
	for i := range 300 {
		w.set(fmt.Sprintf("product:%d", i), "v", 2*time.Second)
	}
	eventually(t, "the keys", 5*time.Second, func() bool { return products(e).Keys == 300 })
	for i := range 300 {
		if err := w.rdb.Del(t.Context(), fmt.Sprintf("product:%d", i)).Err(); err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
	}
	eventually(t, "their end", 5*time.Second, func() bool { return products(e).Keys == 0 })
	loads := w.backend.total()
	time.Sleep(3 * time.Second)
	if n := w.backend.total() - loads; n > 0 {
		t.Errorf("%d keys that nobody read were loaded", n)
	}
	if keys := w.rdb.Keys(t.Context(), "product:*").Val(); len(keys) > 0 {
		t.Errorf("%d keys are back", len(keys))
	}
}
