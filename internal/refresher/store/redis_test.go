// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// sides is a topology of two servers: keys that hold an a lie on the first, the others on
// the second.
type sides struct{ a, b *Server }

func (s sides) Servers() []*Server { return []*Server{s.a, s.b} }
func (s sides) ServerOf(key string) *Server {
	if strings.Contains(key, "a") {
		return s.a
	}
	return s.b
}

func TestAStoreOfTwoNodesIsListedAndHeardAndReadAsOne(t *testing.T) {
	t.Parallel()
	left, right := redistest.Start(t, "--notify-keyspace-events", "Kn"), redistest.Start(t, "--notify-keyspace-events", "Kn")
	a, b := left.Client(t), right.Client(t)
	set := func(rdb *redis.Client, key string) {
		if err := rdb.Set(t.Context(), key, "v", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		set(a, fmt.Sprintf("k:a%d", i))
		set(b, fmt.Sprintf("k:%d", i))
	}
	s := opened(t, sides{server(t, left.Addr), server(t, right.Addr)})
	l := newListener("k:{id}")
	s.Attach(l)
	defer s.Detach(l)
	l.eventually(t, "both are listed", func() bool { return len(l.ended) >= 2 })
	both := []string{left.Addr, right.Addr}
	l.note(func() {
		if !slices.Equal(l.ended[0].Nodes, both) || !slices.Equal(l.ended[1].Nodes, both) || l.ended[0].Node == l.ended[1].Node {
			t.Errorf("the listings are %+v", l.ended)
		}
		if len(l.found) != 40 || l.ended[0].Failed || l.ended[1].Failed || l.ended[0].Holds("k:a") == l.ended[1].Holds("k:a") {
			t.Errorf("%d keys were found, want 40, by %+v", len(l.found), l.ended)
		}
	})
	for s.Watch().Reason != "Watching" {
		time.Sleep(10 * time.Millisecond)
	}
	set(a, "k:a new")
	set(b, "k:new")
	l.eventually(t, "events of both are heard", func() bool { return len(l.said) == 2 })

	var said []discover.Found
	err := s.Inspect(t.Context(), []string{"k:a1", "k:1", "k:a none", "k:none"}, func(found []discover.Found) error {
		said = append(said, found...)
		return nil
	})
	there := 0
	for _, f := range said {
		if f.TTL > 0 {
			there++
		}
	}
	if err != nil || len(said) != 4 || there != 2 {
		t.Errorf("of four keys, two of which are there, it says %+v, %v", said, err)
	}
	if look := s.Look(t.Context(), "k:a1"); look.Type != "string" || look.TTL <= 0 || look.Guard.Held {
		t.Errorf("of a key it says %+v", look)
	}
	if s.NodeOf("k:a1") == s.NodeOf("k:1") {
		t.Error("keys of two nodes are on one")
	}
}

func TestOneNodeThatIsDownIsNamedAndTheOtherServes(t *testing.T) {
	t.Parallel()
	left, right := redistest.Start(t), redistest.Start(t)
	s := opened(t, sides{server(t, left.Addr), server(t, right.Addr)})
	l := newListener("k:{id}")
	s.Attach(l)
	defer s.Detach(l)
	l.eventually(t, "both are up", func() bool { return len(l.came) == 2 && s.Status().Reason == redisconn.Connected })
	right.Stop()
	l.eventually(t, "the outage is told", func() bool { return s.Status().Reason == redisconn.ConnectionFailed })
	if !s.Up() {
		t.Error("the store is down with one of its nodes")
	}
	held, err := s.NodeOf("k:a").Acquire(t.Context(), []string{"k:a"}, time.Second)
	if err != nil || held[0].Lease == nil {
		t.Errorf("on the other node: %v", err)
	} else {
		held[0].Lease.Release(t.Context())
	}
	if err := right.Start(); err != nil {
		t.Fatal(err)
	}
	l.eventually(t, "it comes back", func() bool { return len(l.came) == 3 && s.Status().Reason == redisconn.Connected })
}

// What is heard of makes listings rarer, but never so rare that a key which was not heard
// of, or too early, turns stale before it is found.
func TestListingsAreAsFarApartAsTheShortestLivedKeysAllow(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		flags  string
		change func(*Interest)
		want   time.Duration
	}{
		"by events":                    {"Kn", func(*Interest) {}, 4 * time.Second},
		"without events":               {"", func(*Interest) {}, 2 * time.Second},
		"keys that are kept":           {"Kn", func(i *Interest) { i.Keys = []string{"k:1"} }, 2 * time.Second},
		"a policy that wants none":     {"Kn", func(i *Interest) { i.Events = false }, 2 * time.Second},
		"keys that live for very long": {"Kn", func(i *Interest) { i.StaleAge = time.Hour }, maxListPause},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			srv := server(t, redistest.Start(t, "--notify-keyspace-events", c.flags).Addr)
			s := opened(t, Standalone(srv))
			l := newListener("k:{id}")
			l.interest.StaleAge = 4 * time.Second
			c.change(&l.interest)
			s.Attach(l)
			defer s.Detach(l)
			l.eventually(t, "it is listed", func() bool { return len(l.ended) > 0 })
			if got := srv.listInterval(); got != c.want {
				t.Errorf("listed every %s, want %s (%+v)", got, c.want, s.Watch())
			}
		})
	}
}

// ends notes what became of commits.
type ends chan []Committed

func (e ends) Committed(done []Committed) { e <- done }

func TestCommitsOfOneOwnerAreToldTogether(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	s := open(t, srv.Addr)
	node := s.NodeOf("")
	var keys []string
	for i := range 2 * guard.MaxSettle {
		keys = append(keys, fmt.Sprint("k:", i))
	}
	held, err := node.Acquire(t.Context(), keys, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	first, second := make(ends, len(keys)), make(ends, len(keys))
	commits := make([]Commit, len(keys))
	for i := range keys {
		commits[i] = Commit{Settlement: guard.Settlement{Lease: held[i].Lease, Value: []byte("v"), TTL: time.Minute}, Owner: first, Item: keys[i]}
		if i%2 == 1 {
			commits[i].Owner = second
		}
	}
	node.Commit(commits...)
	told, scripts := map[any]bool{}, 0
	for len(told) < len(keys) {
		var done []Committed
		select {
		case done = <-first:
		case done = <-second:
		case <-time.After(10 * time.Second):
			t.Fatalf("%d of %d commits were told", len(told), len(keys))
		}
		scripts++
		for _, d := range done {
			told[d.Item] = true
			if d.Err != nil || d.Outcome != guard.Committed {
				t.Errorf("%s: %v, %v", d.Item, d.Outcome, d.Err)
			}
		}
	}
	if scripts > 8 {
		t.Errorf("%d commits were told in %d parts", len(keys), scripts)
	}
	if n, err := srv.Client(t).DBSize(context.Background()).Result(); err != nil || n != int64(len(keys)) {
		t.Errorf("%d keys are there, %v; want %d, and no guard", n, err, len(keys))
	}
}

// restarts is a listener under whose first listing the server becomes another run.
type restarts struct {
	*listener
	server *Server
}

func (r restarts) Found(found []discover.Found, number uint64) {
	r.note(func() {
		if len(r.ended) == 0 {
			r.server.change(func() { r.server.runID = "another" })
		}
	})
	r.listener.Found(found, number)
}

func TestAListingOfTwoRunsOfAServerFails(t *testing.T) {
	t.Parallel()
	started := redistest.Start(t)
	if err := started.Client(t).Set(t.Context(), "k:1", "v", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	of := server(t, started.Addr)
	l := restarts{newListener("k:{id}"), of}
	s := opened(t, Standalone(of))
	s.Attach(l)
	defer s.Detach(l)
	l.eventually(t, "it is listed anew", func() bool { return len(l.ended) >= 2 })
	l.note(func() {
		if !l.ended[0].Failed || l.ended[1].Failed {
			t.Errorf("the listings are %+v", l.ended)
		}
	})
}
