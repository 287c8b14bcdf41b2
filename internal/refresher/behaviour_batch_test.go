// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// A key with which the loader hangs, for longer than leaves time to split a batch,
// is asked for with ever fewer others.
func TestAKeyThatHangsHarmsEverFewer(t *testing.T) {
	t.Parallel()
	const keys, poison = 40, "product:poison"
	w := newWorld(t, 0)
	var (
		mu   sync.Mutex
		with []int // keys asked for together with the poison
	)
	w.backend.answer(func(rw http.ResponseWriter, r *http.Request) {
		var asked struct{ Keys []string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		mu.Lock()
		bad := slices.Contains(asked.Keys, poison)
		if bad {
			with = append(with, len(asked.Keys))
		}
		mu.Unlock()
		if bad {
			<-r.Context().Done()
			return
		}
		values := map[string]string{}
		for _, key := range asked.Keys {
			values[key] = "loaded"
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"values": values})
	})
	w.overdue(append(names("product:", keys), poison))
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(long, func(k *Keyspace) {
		web(k).URL, web(k).BatchSize, web(k).Timeout = w.backend.URL, 64, time.Second
		k.GuardTimeout, k.MaxPerSecond = time.Second, 2 // what has failed meets again
	})))
	eventually(t, "it is tried three times", 20*time.Second, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(with) >= 3
	})
	mu.Lock()
	defer mu.Unlock()
	for i, n := range with {
		if n > 64>>i {
			t.Errorf("it was asked for in batches of %v, want at most half as many each time", with)
		}
	}
}
