// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// What is wrong with a Redis is told in a word and announced, loads are not
// wasted on it, and when it is put right, the work goes on by itself.
func TestARedisThatRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		spoil, repair []any
		conf          func(*redisconn.Config)
		want          redisconn.Reason
	}{
		"a wrong password": {
			spoil:  []any{"ACL", "SETUSER", "keepfresh", "on", ">right", "~*", "+@all"},
			repair: []any{"ACL", "SETUSER", "keepfresh", ">wrong"},
			conf:   func(c *redisconn.Config) { c.Username, c.Password = "keepfresh", "wrong" },
			want:   redisconn.AuthenticationFailed,
		},
		"no password where one is needed": {
			spoil:  []any{"CONFIG", "SET", "requirepass", "right"},
			repair: []any{"CONFIG", "SET", "requirepass", ""},
			want:   redisconn.AuthenticationFailed,
		},
		"a user who may not write": {
			spoil:  []any{"ACL", "SETUSER", "keepfresh", "on", ">right", "~*", "+@all", "-set"},
			repair: []any{"ACL", "SETUSER", "keepfresh", "+set"},
			conf:   func(c *redisconn.Config) { c.Username, c.Password = "keepfresh", "right" },
			want:   redisconn.PermissionDenied,
		},
		"a user who may not list": {
			spoil:  []any{"ACL", "SETUSER", "keepfresh", "on", ">right", "~*", "+@all", "-scan"},
			repair: []any{"ACL", "SETUSER", "keepfresh", "+scan"},
			conf:   func(c *redisconn.Config) { c.Username, c.Password = "keepfresh", "right" },
			want:   redisconn.PermissionDenied,
		},
		"a user without the keyspace's keys": {
			spoil:  []any{"ACL", "SETUSER", "keepfresh", "on", ">right", "~keepfresh:*", "+@all"},
			repair: []any{"ACL", "SETUSER", "keepfresh", "~*"},
			conf:   func(c *redisconn.Config) { c.Username, c.Password = "keepfresh", "right" },
			want:   redisconn.PermissionDenied,
		},
		"a full memory": {
			spoil:  []any{"CONFIG", "SET", "maxmemory", "1"},
			repair: []any{"CONFIG", "SET", "maxmemory", "0"},
			want:   redisconn.OutOfMemory,
		},
		"too few replicas to write": {
			spoil:  []any{"CONFIG", "SET", "min-replicas-to-write", "1"},
			repair: []any{"CONFIG", "SET", "min-replicas-to-write", "0"},
			want:   redisconn.ReadOnly,
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 0)
			for _, key := range names("product:", 20) {
				w.set(key, "from the application", 30*time.Second)
			}
			if err := w.rdb.Do(t.Context(), c.spoil...).Err(); err != nil {
				t.Fatal(err)
			}
			var told atomic.Int64
			e := w.engine(Options{OnChange: func(ID) { told.Add(1) }})
			plan := w.plan(w.keyspace(long), w.keyspace(long, func(k *Keyspace) { k.Name, k.Key, k.Keys = "kept", "kept:{id}", names("kept:", 5) }))
			if c.conf != nil {
				c.conf(&plan.Redis)
			}
			w.apply(e, plan)
			reason := func() redisconn.Reason {
				snap, _ := e.Snapshot(catalog)
				return snap.Redis.Reason
			}
			eventually(t, "it is told as "+string(c.want), 15*time.Second, func() bool { return reason() == c.want })
			eventually(t, "and announced", 2*time.Second, func() bool { return told.Load() > 0 })
			quiet := told.Load()
			for range 75 {
				if r := reason(); r != c.want {
					t.Fatalf("it flaps to %s", r)
				}
				time.Sleep(20 * time.Millisecond)
			}
			if n := told.Load() - quiet; n > 10 {
				t.Errorf("%d announcements of the same", n)
			}
			if n := w.backend.total(); n > 25 { // a listing that is refused does not keep kept keys from being loaded
				t.Errorf("%d loads", n)
			}
			for _, k := range []string{"products", "kept"} {
				if s := inspect(t, e, k); s.LoadersState == Failing {
					t.Errorf("the loader is blamed: %+v", s)
				}
			}

			if err := w.rdb.Do(t.Context(), c.repair...).Err(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the work goes on", 30*time.Second, func() bool {
				return reason() == redisconn.Connected && products(e).Fresh == 20 && inspect(t, e, "kept").Fresh == 5
			})
			if n := w.backend.total(); n > 3*25 {
				t.Errorf("%d loads of 25 keys", n)
			}
		})
	}
}

func TestAReplicaIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	host, port, err := net.SplitHostPort(w.redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	replica := redistest.Start(t, "--replicaof", host+" "+port)
	e := w.engine(Options{})
	plan := w.plan(w.keyspace(long, func(k *Keyspace) { k.Keys = names("product:", 5) }))
	plan.Redis.Address = replica.Addr
	w.apply(e, plan)
	reason := func() redisconn.Reason {
		snap, _ := e.Snapshot(catalog)
		return snap.Redis.Reason
	}
	eventually(t, "it is told", 15*time.Second, func() bool { return reason() == redisconn.ReadOnly })
	if n := w.backend.total(); n > 0 {
		t.Errorf("%d loads", n)
	}
	// A primary that becomes a replica, as after a failover, is noticed too.
	if err := replica.Client(t).Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a primary is kept fresh", 20*time.Second, func() bool { return products(e).Fresh == 5 && reason() == redisconn.Connected })
	if err := replica.Client(t).Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told again", 15*time.Second, func() bool { return reason() == redisconn.ReadOnly })
}

// Policies that reach the same Redis in the same way share one listing.
func TestPoliciesShareOneListing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	for _, key := range append(names("product:", 50), names("price:", 50)...) {
		w.set(key, "from the application", time.Minute)
	}
	w.rdb.ConfigResetStat(t.Context())
	e := w.engine(Options{})
	second := ID{"shop", "prices"}
	w.apply(e, w.plan(w.keyspace(long)))
	put(t, e, second, w.plan(w.keyspace(long, func(k *Keyspace) { k.Key = "price:{id}" })))
	eventually(t, "both are listed", 10*time.Second, func() bool {
		snap, _ := e.Snapshot(second)
		return products(e).Keys == 50 && snap.Keyspaces[0].Keys == 50
	})
	if n := w.calls("scan"); n < 1 || n > 3 {
		t.Errorf("%d SCANs of 100 keys for two policies, want one or two", n)
	}
}
