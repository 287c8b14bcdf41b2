// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Invariant 4: a failing, slow, huge, malformed or malicious loader harms its
// own keyspace only: bounded memory, bounded concurrency, no hot loop.
//
// One policy has a healthy keyspace and one for each way in which a loader can
// misbehave. All of their keys are overdue, so that the engine wants to load
// each of them at once. It may try, but not often; what the application wrote
// must stay; and when the loaders recover, each key must be loaded, without
// another rush. It runs alone, because it counts goroutines and bytes.
func TestInvariant4ABadLoaderHarmsItsOwnKeyspaceOnly(t *testing.T) {
	const badKeys, bad = 20, 8 * time.Second
	w := newWorld(t, 5*time.Millisecond)
	healthy := w.keyspace(func(k *Keyspace) { k.Expire, k.DueAfter = 3*time.Second, 1500*time.Millisecond })
	good := names("product:", 30)
	keyspaces := []Keyspace{healthy}
	backends := map[string]*backend{}
	for name, misbehave := range misbehaviours {
		b := newBackend(t, 0)
		b.answer(misbehave)
		backends[name] = b
		keyspaces = append(keyspaces, w.keyspace(func(k *Keyspace) {
			k.Name, k.Key, web(k).URL = name, name+":{id}", b.URL+"/{id}"
			k.Expire, k.DueAfter, k.GuardTimeout = time.Minute, 30*time.Second, 500*time.Millisecond
			web(k).Timeout, web(k).MaxBodyBytes = 300*time.Millisecond, 64<<10
		}))
		for _, key := range names(name+":", badKeys) {
			w.set(key, "from the application", 25*time.Second)
		}
	}
	for _, key := range good {
		w.set(key, "from the application", 3*time.Second)
	}
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	e := w.engine(Options{})
	w.apply(e, w.plan(keyspaces...))

	var most int
	var heap uint64
	watch := func(lasts time.Duration) {
		t.Helper()
		for began := time.Now(); time.Since(began) < lasts; time.Sleep(20 * time.Millisecond) {
			if key := firstMissing(t, w.rdb, good); key != "" {
				t.Fatalf("%s expired beside the bad loaders, after %s and %d loads; %+v", key, time.Since(began), w.backend.count(key[len("product:"):]), products(e))
			}
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			most, heap = max(most, runtime.NumGoroutine()), max(heap, memory.HeapAlloc)
		}
	}
	watch(bad)
	// Both ends of up to 6 connections for each of the bad loaders, and some.
	if limit := goroutines + len(misbehaviours)*6*6 + 150; most > limit {
		t.Errorf("%d goroutines at once, and %d before; want at most %d", most, goroutines, limit)
	}
	// The backends' part included; a bad loader alone sends 60 MiB at once.
	if grown := int64(heap) - int64(before.HeapAlloc); grown > 50<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	for name, b := range backends {
		// The first try of what runs at once, and then pauses that double.
		if n := b.total(); n < 3 || n > 25 {
			t.Errorf("%s: %d requests in %s, want up to 25", name, n, bad)
		}
		if b.peak() > 2*6 { // it may notice late that one was cut off
			t.Errorf("%s: %d requests at once, want up to 6", name, b.peak())
		}
		for _, key := range names(name+":", badKeys) {
			if got := w.get(key); got != "from the application" {
				t.Errorf("%s holds %.40q now", key, got)
			}
		}
		if s := inspect(t, e, name); s.LoadersState != Failing || s.LastFailure == nil || s.Keys != badKeys {
			t.Errorf("%s: want it to be told as failing: %+v", name, s)
		}
	}
	if s := products(e); s.LoadersState != Succeeding || s.Fresh < int64(len(good))*9/10 {
		t.Errorf("the healthy keyspace: %+v", s)
	}

	for _, b := range backends {
		b.answer(nil)
		b.mu.Lock()
		b.busiest, b.loads = 0, map[string]int{}
		b.mu.Unlock()
	}
	watch(time.Second)
	eventually(t, "all recover", 15*time.Second, func() bool {
		for name := range backends {
			if s := inspect(t, e, name); s.LoadersState != Succeeding || s.Fresh != badKeys {
				return false
			}
		}
		return true
	})
	for name, b := range backends {
		if n := b.total(); n > 2*badKeys || b.peak() > 2*6 {
			t.Errorf("%s: %d requests, %d at once, to load %d keys again", name, n, b.peak(), badKeys)
		}
	}
}

func inspect(t *testing.T, e *Engine, keyspace string) KeyspaceSnapshot {
	t.Helper()
	snap, _ := e.Snapshot(catalog)
	for _, s := range snap.Keyspaces {
		if s.Name == keyspace {
			return s
		}
	}
	t.Fatalf("there is no keyspace %q", keyspace)
	return KeyspaceSnapshot{}
}

var tenMiB = strings.Repeat("x", 10<<20)

var misbehaviours = map[string]http.HandlerFunc{
	"fails":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	"hangs":     func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	"huge":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tenMiB) },
	"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
	"slams":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"endless": func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, tenMiB[:4<<10]); err != nil {
				return
			}
		}
	},
	"trickles": func(w http.ResponseWriter, r *http.Request) {
		for pause(r, 20*time.Millisecond) {
			_, _ = fmt.Fprint(w, "x")
			_ = http.NewResponseController(w).Flush()
		}
	},
	"truncates": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = fmt.Fprint(w, "not a hundred bytes")
	},
	"malformed": func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = fmt.Fprint(conn, "HTTP/9.9 what\x00\r\n\r\n\r\n")
			_ = conn.Close()
		}
	},
	"headers": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Padding", tenMiB[:1<<20])
		_, _ = fmt.Fprint(w, "value")
	},
	"busy": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
	},
}
