// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// ledger is a kind of loader that asks nobody: the second kind, beside HTTP.
type ledger struct {
	batch  int
	opened *loader.Environment // what it was opened with
	calls  *atomic.Int64
	closed *atomic.Int64
}

func (l ledger) Open(_ *keyspace.Template, env loader.Environment) (loader.Source, error) {
	*l.opened = env
	return l, nil
}

func (l ledger) BatchSize() int { return l.batch }
func (l ledger) Close()         { l.closed.Add(1) }
func (l ledger) Describe(key string) loader.Request {
	return loader.Request{Method: "LOOKUP", Address: "ledger:" + key}
}

func (l ledger) Load(_ context.Context, keys []string) []loader.Result {
	l.calls.Add(1)
	results := make([]loader.Result, len(keys))
	for i, key := range keys {
		results[i].Value = []byte("entry of " + key)
		if strings.HasSuffix(key, "none") {
			results[i] = loader.Result{Err: loader.Failf(loader.NotFound, "no such entry")}
		}
	}
	return results
}

// The engine knows the contract of loaders, and none of its kinds.
func TestAnyKindOfLoaderServes(t *testing.T) {
	t.Parallel()
	for sentence, batch := range map[string]int{"key by key": 1, "in batches": 10} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 0)
			kind := ledger{batch, new(loader.Environment), new(atomic.Int64), new(atomic.Int64)}
			e := w.engine(Options{NetHTTP: true, Limits: Limits{BodyBytes: 1 << 20}})
			w.apply(e, w.plan(w.keyspace(long, func(k *Keyspace) {
				k.Loader, k.MaxConcurrent = kind, 3
				k.Keys = append(names("product:", 20), "product:none")
			})))
			eventually(t, "all keys that there are have a value", 10*time.Second, func() bool { return products(e).Fresh == 20 })
			if got := w.get("product:7"); got != "entry of product:7" {
				t.Errorf("a key holds %q", got)
			}
			if s := products(e); s.LastFailure == nil || s.LastFailure.Reason != string(loader.NotFound) {
				t.Errorf("of the key that there is not, it tells %+v", s.LastFailure)
			}
			if env := kind.opened; env.MaxConcurrent != 3 || !env.NetHTTP || env.Room == nil {
				t.Errorf("the source was opened with %+v", env)
			}
			if n := kind.calls.Load(); batch > 1 && n > 15 {
				t.Errorf("%d calls for 21 keys in batches of %d", n, batch)
			}
			e.Remove(catalog)
			eventually(t, "it is closed", 5*time.Second, func() bool { return kind.closed.Load() == 1 })
			d, err := Describe("product:{id}", kind, "product:7")
			if err != nil || d.Method != "LOOKUP" || d.Address != "ledger:product:7" {
				t.Errorf("an explanation would say %+v, %v", d, err)
			}
		})
	}
}
