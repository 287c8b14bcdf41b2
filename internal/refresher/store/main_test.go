// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var numbers atomic.Uint64

// server is one that a Redis can be opened with.
func server(t *testing.T, address string) *Server {
	conf := redisconn.Config{Address: address}
	client, err := redisconn.New(conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	return NewServer(ServerOptions{
		Config: conf, Client: client, Lease: guard.DefaultLease, Log: slog.New(slog.DiscardHandler),
		Number: func() uint64 { return numbers.Add(1) },
	})
}

// open is a store of one server.
func open(t *testing.T, address string) *Redis { return opened(t, Standalone(server(t, address))) }

func opened(t *testing.T, topology Topology) *Redis {
	r := Open(topology)
	t.Cleanup(r.Close)
	return r
}

// listener is a Subscriber that notes what it is told.
type listener struct {
	interest Interest

	mu     sync.Mutex
	found  map[string]int // by key
	ended  []Listing
	came   []string // nodes
	errors map[redisconn.Reason]int
	said   []discover.Found // by Told
}

func newListener(template string) *listener {
	return &listener{
		interest: Interest{Template: parsed(template), StaleAge: time.Hour, Events: true},
		found:    map[string]int{}, errors: map[redisconn.Reason]int{},
	}
}

func (l *listener) Interest() Interest  { return l.interest }
func (l *listener) Policy() string      { return "shop/catalog" }
func (l *listener) ListingBegan(uint64) {}
func (l *listener) RedisChanged()       {}
func (l *listener) EventsChanged()      {}
func (l *listener) Sample() int64       { return 0 }

func (l *listener) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *listener) Found(found []discover.Found, _ uint64) {
	l.note(func() {
		for _, f := range found {
			l.found[f.Key]++
		}
	})
}

func (l *listener) ListingEnded(is Listing) { l.note(func() { l.ended = append(l.ended, is) }) }

func (l *listener) Heard(_ context.Context, events []watch.Event) (ask []string, err error) {
	for _, e := range events {
		ask = append(ask, e.Key)
	}
	return ask, nil
}

func (l *listener) Told(found []discover.Found) { l.note(func() { l.said = append(l.said, found...) }) }

func (l *listener) NodeCameUp(_ context.Context, node, _ string) {
	l.note(func() { l.came = append(l.came, node) })
}

func (l *listener) RedisFailed(why redisconn.Reason) { l.note(func() { l.errors[why]++ }) }

// eventually waits for what must come true of what was told.
func (l *listener) eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var ok bool
		l.note(func() { ok = check() })
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s; %+v", what, l)
		}
	}
}

// parsed is a template that is right.
func parsed(template string) *keyspace.Template {
	t, err := keyspace.Parse(template)
	if err != nil {
		panic(err)
	}
	return t
}
