// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
)

// twoNodes is a Redis of two servers: the second topology, beside that of one server. Keys
// whose last digit is odd lie on the other one.
type twoNodes struct{ even, odd *store.Server }

func (n twoNodes) Servers() []*store.Server { return []*store.Server{n.even, n.odd} }
func (n twoNodes) ServerOf(key string) *store.Server {
	if isOdd(key) {
		return n.odd
	}
	return n.even
}

func isOdd(key string) bool { return strings.ContainsRune("13579", rune(key[len(key)-1])) }

// withNode has an engine take a second server for the other node of each Redis.
func withNode(opts Options, other string) Options {
	opts.topology = func(at redisconn.Config, rules *egress.Rules, lease time.Duration, number func() uint64, log *slog.Logger) (store.Topology, error) {
		var nodes [2]*store.Server
		for i, address := range []string{at.Address, other} {
			conf := at
			conf.Address = address
			client, err := redisconn.New(conf, rules)
			if err != nil {
				return nil, err
			}
			nodes[i] = store.NewServer(store.ServerOptions{Config: conf, Client: client, Lease: lease, Number: number, Log: log})
		}
		return twoNodes{nodes[0], nodes[1]}, nil
	}
	return opts
}

// All that the engine does works on a store of two nodes: nothing of it knows how many
// there are.
func TestAStoreOfTwoNodesIsKeptFresh(t *testing.T) {
	for sentence, batch := range map[string]int{"one call for each key": 0, "batches over both nodes": 10} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			const keys = 40
			w := newWorld(t, 5*time.Millisecond)
			second := redistest.Start(t)
			other := second.Client(t)
			node := func(key string) *redis.Client {
				if isOdd(key) {
					return other
				}
				return w.rdb
			}
			if batch > 0 {
				w.backend.answer(func(rw http.ResponseWriter, r *http.Request) { serveBatch(rw, r, false) })
			}
			all := names("product:", keys)
			for _, key := range all {
				if err := node(key).Set(t.Context(), key, "from the application", 3*time.Second).Err(); err != nil {
					t.Fatal(err)
				}
			}
			e := w.engine(withNode(Options{}, second.Addr))
			plan := w.plan(w.keyspace(func(k *Keyspace) {
				k.Expire, k.DueAfter = 3*time.Second, 1500*time.Millisecond
				if web(k).BatchSize = batch; batch > 0 {
					web(k).URL = w.backend.URL
				}
			}))
			w.apply(e, plan)
			eventually(t, "the keys of both are found", 10*time.Second, func() bool { return products(e).Keys == keys })
			time.Sleep(7 * time.Second) // more than two lives
			for _, key := range all {
				if value, err := node(key).Get(t.Context(), key).Result(); err != nil || value == "from the application" {
					t.Errorf("%s: %q, %v", key, value, err)
				}
			}
			if s := products(e); s.Keys != keys || s.LoadersState != Succeeding || TooLate(s.Late, s.Keys) {
				t.Errorf("%+v", s)
			}
			for _, rdb := range []*redis.Client{w.rdb, other} {
				if n, err := rdb.DBSize(t.Context()).Result(); err != nil || n > keys/2+int64(len(guards(t, rdb))) {
					t.Errorf("%d keys on a node, %v, want %d", n, err, keys/2)
				}
			}
			other.Del(t.Context(), "product:1", "product:3")
			eventually(t, "what is deleted on one node is forgotten, and no more", 10*time.Second, func() bool { return products(e).Keys == keys-2 })

			second.Stop()
			eventually(t, "a node that is gone is told of", 10*time.Second, func() bool { return redisReason(e) == redisconn.ConnectionFailed })
			if err := second.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is back, and all that is left is fresh", 20*time.Second, func() bool {
				s := products(e)
				return redisReason(e) == redisconn.Connected && s.Listed && s.Keys > 0 && s.Fresh == s.Keys
			})
		})
	}
}
