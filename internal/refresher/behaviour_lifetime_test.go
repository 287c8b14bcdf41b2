// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
)

// long is a keyspace whose keys do not come due during a test by themselves.
func long(k *Keyspace) { k.Expire, k.DueAfter = time.Minute, 40*time.Second }

func TestWhatBecomesOfAKeyByItsLifetime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5*time.Millisecond)
	w.set("product:forever", "from the application", 0)
	w.set("product:longer", "from the application", 5*time.Minute)
	w.set("product:fresh", "from the application", 55*time.Second)
	w.set("product:stale", "from the application", 15*time.Second)
	w.rdb.HSet(t.Context(), "product:hash", "field", "value")
	w.rdb.Expire(t.Context(), "product:hash", 10*time.Second)
	w.rdb.RPush(t.Context(), "product:list", "value")
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(long)))

	eventually(t, "the stale key is refreshed, and all are accounted for", 10*time.Second, func() bool {
		s := products(e)
		return w.get("product:stale") == "stale load 1" && s.Keys == 3 && s.Fresh == 3 && s.Ignored == 3
	})
	if ttl := w.rdb.PTTL(t.Context(), "product:stale").Val(); ttl < 45*time.Second || ttl > time.Minute {
		t.Errorf("a rebuild wrote the TTL %s, want a minute", ttl)
	}
	if n := w.backend.total(); n != 1 {
		t.Errorf("%d loads, want only the stale key's: %v", n, w.backend.order())
	}
	for _, key := range []string{"product:forever", "product:longer", "product:fresh"} {
		if got := w.get(key); got != "from the application" {
			t.Errorf("%s holds %q", key, got)
		}
	}
	if ttl := w.rdb.PTTL(t.Context(), "product:longer").Val(); ttl < 4*time.Minute {
		t.Errorf("a longer life was cut to %s", ttl)
	}
	if ttl := w.rdb.PTTL(t.Context(), "product:forever").Val(); ttl != -1 {
		t.Errorf("a key without expiry has the TTL %s", ttl)
	}
	if got := w.rdb.HGet(t.Context(), "product:hash", "field").Val(); got != "value" {
		t.Errorf("the hash holds %q", got)
	}
	if f := products(e).LastFailure; f == nil || f.Reason != rebuild.WrongType {
		t.Errorf("of the hash it tells %+v", f)
	}
}

// A key that lives longer than a rebuild gives is due in the last part of its
// life, as any other.
func TestALongerLifeIsLivedToItsLastPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5*time.Millisecond)
	w.set("product:1", "from the application", 5*time.Second)
	w.apply(w.engine(Options{}), w.plan(w.keyspace())) // of 2 s; stale 0.76 s before the end
	time.Sleep(2500 * time.Millisecond)
	if got := w.get("product:1"); got != "from the application" {
		t.Fatalf("rebuilt too early: %q", got)
	}
	eventually(t, "it is refreshed", 5*time.Second, func() bool { return w.backend.count("1") > 0 })
	if w.get("product:1") == "" {
		t.Error("it expired")
	}
}

// An application that rewrites its keys in time needs no refresher: the engine
// asks Redis, and loads nothing.
func TestAKeyThatIsRewrittenInTimeIsNotLoaded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5*time.Millisecond)
	metrics := prometheus.NewRegistry()
	w.set("product:1", "from the application", 4*time.Second)
	w.apply(w.engine(Options{Registerer: metrics}), w.plan(w.keyspace(func(k *Keyspace) { k.Expire, k.DueAfter = 4*time.Second, 2*time.Second })))
	for range 60 {
		w.set("product:1", "from the application", 4*time.Second)
		time.Sleep(100 * time.Millisecond)
	}
	if n := w.backend.total(); n > 0 {
		t.Errorf("%d loads", n)
	}
}

func TestAKeyThatIsDeletedIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5*time.Millisecond)
	for _, key := range names("product:", 10) {
		w.set(key, "from the application", 2*time.Second)
	}
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace()))
	eventually(t, "10 keys are known", 5*time.Second, func() bool { return products(e).Keys == 10 })
	w.rdb.Del(t.Context(), names("product:", 4)...)
	eventually(t, "6 are left", 10*time.Second, func() bool { s := products(e); return s.Keys == 6 && s.Missing == 0 })
	w.rdb.FlushDB(t.Context())
	eventually(t, "none is left", 10*time.Second, func() bool { return products(e).Keys == 0 })
	loads := w.backend.total()
	time.Sleep(2 * time.Second)
	if n := w.backend.total(); n != loads {
		t.Errorf("%d loads of keys that are gone", n-loads)
	}
	if n := w.rdb.Exists(t.Context(), names("product:", 10)...).Val(); n > 0 {
		t.Errorf("%d keys were revived", n)
	}
}

// An application may write lifetimes so short that a key is always overdue, and
// more often than a load takes. A key is loaded once in a while all the same.
func TestAnApplicationThatWritesTooShortLivesMakesNoHotLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20*time.Millisecond)
	w.set("product:1", "from the application", 5*time.Second)
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(func(k *Keyspace) { k.Expire, k.DueAfter = 20*time.Second, 8*time.Second })))
	for range 600 { // 4 s at least
		w.set("product:1", "from the application", 5*time.Second)
		time.Sleep(5 * time.Millisecond)
	}
	if n := w.backend.total(); n < 1 || n > 4 {
		t.Errorf("%d loads of one key in 4 s, though at least 4 s should lie between two", n)
	}
}

func TestWhatTheLoaderDoesNotFind(t *testing.T) {
	for what, c := range map[string]struct {
		onNotFound OnNotFound
		kept       bool
		value      string
		want       string
	}{
		"Delete: the application's key is deleted":               {Delete, false, "old", ""},
		"Keep: the application's key is left to its lifetime":    {Keep, false, "old", "old"},
		"Delete: a kept key is deleted":                          {Delete, true, "old", ""},
		"Keep: a kept key is left to its lifetime":               {Keep, true, "old", "old"},
		"Delete: a kept key that is missing is not written":      {Delete, true, "", ""},
		"Keep: a kept key that is missing is not written either": {Keep, true, "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 0)
			w.backend.status(404)
			if c.value != "" {
				w.set("product:1", c.value, 15*time.Second)
			}
			e := w.engine(Options{})
			w.apply(e, w.plan(w.keyspace(func(k *Keyspace) {
				long(k)
				if k.OnNotFound = c.onNotFound; c.kept {
					k.Keys = []string{"product:1"}
				}
			})))
			eventually(t, "it is asked for", 10*time.Second, func() bool { return w.backend.total() > 0 && products(e).LastFailure != nil })
			eventually(t, "it holds "+c.want, 5*time.Second, func() bool { return w.get("product:1") == c.want })
			time.Sleep(1500 * time.Millisecond)
			if got := w.get("product:1"); got != c.want {
				t.Errorf("it holds %q, want %q", got, c.want)
			}
			s := products(e)
			if s.LastFailure.Reason != "NotFound" || s.LoadersState != Succeeding {
				t.Errorf("want NotFound of a loader that works: %+v %+v", s, s.LastFailure)
			}
			if n := w.backend.total(); n > 6 {
				t.Errorf("it was asked for %d times", n)
			}
			if gone := c.want == "" && !c.kept; gone != (s.Keys == 0) {
				t.Errorf("%d keys are tracked", s.Keys)
			}

			w.backend.answer(nil)
			if c.kept {
				eventually(t, "it is filled once the loader finds it", 15*time.Second, func() bool { return w.get("product:1") != c.want })
			}
		})
	}
}
