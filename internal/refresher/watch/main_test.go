// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

func TestMain(m *testing.M) {
	redis.SetLogger(&logging.VoidLogger{}) // connections fail here on purpose
	goleak.VerifyTestMain(m)
}

const secret = "hunter2hunter2"

// quick is a pace that tests can wait for.
var quick = pace{check: 200 * time.Millisecond, tryAgain: 300 * time.Millisecond}

var products = []Interest{{Prefix: "product:"}}

// ears write down what they are told.
type ears struct {
	*Watcher
	rdb *redis.Client // the Watcher's own
	log lockedBuffer

	mu     sync.Mutex
	heard  map[string]Kind // all that was ever said of a key
	gaps   int
	status []Reason
	block  chan struct{} // Events waits for it
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// listen starts a Watcher at a quick pace, and ends it with the test.
func listen(t testing.TB, conf redisconn.Config, interests ...Interest) *ears {
	t.Helper()
	client, err := redisconn.New(conf, nil)
	must(t, err)
	rdb := client.Client
	e := &ears{rdb: rdb, heard: map[string]Kind{}}
	h := Handler{Events: e.events, Gap: e.gap, Changed: e.changed}
	e.Watcher = start(rdb, h, slog.New(slog.NewTextHandler(&e.log, nil)), quick)
	t.Cleanup(func() {
		e.Close()
		_ = rdb.Close()
		for _, private := range []string{"product:", "price:", secret} {
			if strings.Contains(e.log.String(), private) {
				t.Errorf("the log tells %q:\n%s", private, e.log.String())
			}
		}
	})
	e.Watch(interests)
	e.Ready(t.Context())
	return e
}

func (e *ears) events(events []Event) {
	e.mu.Lock()
	for _, v := range events {
		e.heard[v.Key] |= v.Kind
	}
	block := e.block
	e.mu.Unlock()
	if block != nil {
		<-block
	}
}

func (e *ears) gap() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gaps++
}

func (e *ears) changed(s Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = append(e.status, s.Reason)
}

func (e *ears) of(key string) Kind {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard[key]
}

func (e *ears) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.heard)
}

func (e *ears) gapCount() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gaps
}

func (e *ears) want(t testing.TB, reason Reason) {
	t.Helper()
	if s := e.Status(); s.Reason != reason {
		t.Fatalf("watching stands at %s: %s; want %s", s.Reason, s.Message, reason)
	}
}

// wantHeard writes keys until one is heard of.
func (e *ears) wantHeard(t testing.TB, rdb *redis.Client) {
	t.Helper()
	n := 0
	eventually(t, "a new key to be heard of", func() bool {
		key := "product:new:" + time.Now().String()
		_ = rdb.Set(t.Context(), key, "v", time.Minute).Err()
		time.Sleep(2 * gather)
		n++
		return e.of(key).Has(Created)
	})
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func at(s *redistest.Server) redisconn.Config { return redisconn.Config{Address: s.Addr} }

var discard = slog.New(slog.DiscardHandler)
