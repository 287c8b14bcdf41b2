// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A router loses its backend and answers 404 to everything, for a while.
func TestAStormOfNotFoundEmptiesNoCache(t *testing.T) {
	const keys, most = 1000, 31
	for what, change := range map[string]func(*Keyspace){
		"the application's keys": func(*Keyspace) {},
		"kept keys":              func(k *Keyspace) { k.Keys = names("product:", keys) },
		"batches":                func(k *Keyspace) { web(k).BatchSize = 50 },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 0)
			var storm atomic.Bool
			w.backend.answer(func(rw http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPost:
					serveBatch(rw, r, storm.Load())
				case storm.Load():
					rw.WriteHeader(http.StatusNotFound)
				default:
					_, _ = rw.Write([]byte("loaded"))
				}
			})
			for _, key := range names("product:", keys) {
				w.set(key, "from the application", time.Minute)
			}
			registry := prometheus.NewRegistry()
			e := w.engine(Options{Registerer: registry})
			plan := w.plan(w.keyspace(func(k *Keyspace) {
				k.Expire, k.DueAfter = time.Minute, 6*time.Second // and so is the longest backoff
				if change(k); web(k).BatchSize > 0 {
					web(k).URL = w.backend.URL
				}
			}))
			w.apply(e, plan)
			w.refresh(e, plan, "before")
			eventually(t, "all are loaded", 30*time.Second, func() bool { return refreshed(e) == "before" })

			storm.Store(true)
			w.refresh(e, plan, "amid")
			eventually(t, "all are asked for", 30*time.Second, func() bool { return refreshed(e) == "amid" })
			there := w.count("product:*")
			if there < keys-most || there == keys && web(&plan.Keyspaces[0]).BatchSize == 0 { // a batch is counted before any of it is deleted
				t.Errorf("%d of %d keys are deleted, want some, and at most %d", keys-there, keys, most)
			}
			eventually(t, "that is told", 10*time.Second, func() bool { return products(e).LoadersState == ManyNotFound })
			if s := products(e); s.NotFound < 31 || s.Answers != 100 {
				t.Errorf("%d of %d answers are told", s.NotFound, s.Answers)
			}
			if metric(t, registry, "keepfresh_many_not_found", "products") != 1 {
				t.Error("no metric tells of it")
			}

			storm.Store(false)
			eventually(t, "it is over, and all are fresh", 45*time.Second, func() bool {
				s := products(e)
				return s.LoadersState == Succeeding && s.Fresh == s.Keys
			})
			want := there
			if len(plan.Keyspaces[0].Keys) > 0 {
				want = keys
			}
			if n := w.count("product:*"); n != want {
				t.Errorf("%d keys, want %d", n, want)
			}
			if metric(t, registry, "keepfresh_many_not_found", "products") != 0 {
				t.Error("the metric goes on telling of it")
			}

			storm.Store(true)
			w.refresh(e, plan, "a second storm")
			eventually(t, "all are asked for again", 30*time.Second, func() bool { return refreshed(e) == "a second storm" })
			if again := w.count("product:*"); again < want-most {
				t.Errorf("the second storm deletes %d keys, want at most %d", want-again, most)
			}
		})
	}
}

// serveBatch answers a batch call.
func serveBatch(w http.ResponseWriter, r *http.Request, notFound bool) {
	var asked struct{ Keys []string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if notFound {
		_ = json.NewEncoder(w).Encode(map[string]any{"notFound": asked.Keys})
		return
	}
	values := map[string]string{}
	for _, key := range asked.Keys {
		values[key] = "loaded"
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"values": values})
}

// count is how many keys match.
func (w *world) count(pattern string) int {
	w.t.Helper()
	keys, err := w.rdb.Keys(w.t.Context(), pattern).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return len(keys)
}

func TestALoaderIsLeftAloneForAsLongAsItAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	var calls atomic.Int64
	w.backend.answer(func(rw http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		rw.Header().Set("Retry-After", "3600")
		rw.WriteHeader(http.StatusTooManyRequests)
	})
	for _, key := range names("product:", 50) {
		w.set(key, "from the application", 1900*time.Millisecond)
	}
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(func(k *Keyspace) { k.Keys = names("product:", 50) })))
	eventually(t, "it asks to be left alone", 10*time.Second, func() bool { return products(e).LoadersState == Paused })
	if left := time.Until(products(e).PausedUntil); left < 59*time.Minute || left > time.Hour {
		t.Errorf("it is said to be left alone for %s", left)
	}
	eventually(t, "keys expire meanwhile", 10*time.Second, func() bool { return products(e).Missing == 50 })
	time.Sleep(2 * time.Second) // more than the time to the refresh ratio
	if n := calls.Load(); n > 6 {
		t.Errorf("it was called %d times, want no more than run at once", n)
	}
	if f := products(e).LastFailure; f == nil || !strings.Contains(f.Message, "429") {
		t.Errorf("the last failure is %+v", f)
	}

	w.backend.answer(nil)
	w.apply(e, w.plan(w.keyspace(func(k *Keyspace) { k.Keys, k.MaxConcurrent = names("product:", 50), 7 })))
	eventually(t, "another setting ends it", 10*time.Second, func() bool { return products(e).Fresh == 50 })
}
