// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/keepfresh/keepfresh/internal/redistest"
	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// atOnce is how many tests run at once, on however few processors: most of the
// time they wait.
const atOnce = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	redis.SetLogger(&clientLog)
	goleak.VerifyTestMain(m)
}

// clientLog is what the Redis client logs beside the engine.
var clientLog textLog

// textLog keeps what is logged.
type textLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *textLog) Printf(_ context.Context, format string, args ...any) {
	_, _ = fmt.Fprintf(l, format+"\n", args...)
}

func (l *textLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *textLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// backend is a loader endpoint that counts: GET /{id} answers with a value that
// differs each time. handle, if set, answers instead.
type backend struct {
	*httptest.Server
	delay time.Duration

	mu      sync.Mutex
	loads   map[string]int
	running map[string]int
	most    int // loads of one key at once
	atOnce  int
	busiest int // loads at once
	began   []begun
	handle  http.HandlerFunc
}

// begun is a load that has begun.
type begun struct {
	id string
	at time.Time
}

func newBackend(t *testing.T, delay time.Duration) *backend {
	b := &backend{loads: map[string]int{}, running: map[string]int{}, delay: delay}
	b.Server = httptest.NewUnstartedServer(b)
	b.Config.ErrorLog = log.New(io.Discard, "", 0)
	b.Start()
	t.Cleanup(func() {
		b.CloseClientConnections()
		b.Close()
	})
	return b
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/")
	b.mu.Lock()
	b.loads[id]++
	b.running[id]++
	b.atOnce++
	b.most, b.busiest = max(b.most, b.running[id]), max(b.busiest, b.atOnce)
	b.began = append(b.began, begun{id, time.Now()})
	load, handle := b.loads[id], b.handle
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.running[id]--
		b.atOnce--
		b.mu.Unlock()
	}()
	if handle != nil {
		handle(w, r)
		return
	}
	select {
	case <-time.After(b.delay):
	case <-r.Context().Done():
		return
	}
	_, _ = fmt.Fprintf(w, "%s load %d", id, load)
}

// peak is how many loads there were at once.
func (b *backend) peak() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.busiest
}

// order is what has begun so far, in that order.
func (b *backend) order() []begun {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.began)
}

// status has every load answered with an HTTP status.
func (b *backend) status(code int) {
	b.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

func (b *backend) answer(h http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handle = h
}

func (b *backend) count(id string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.loads[id]
}

func (b *backend) total() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, loads := range b.loads {
		n += loads
	}
	return n
}

// world is a Redis, a backend, and engines that keep the one fresh from the other.
type world struct {
	t       *testing.T
	redis   *redistest.Server
	rdb     *redis.Client
	backend *backend
	broken  bool // on purpose, so that guards may be left to their leases
}

// newWorld makes a world that checks, when all of its engines are closed, that
// no guard is left.
func newWorld(t *testing.T, delay time.Duration, redisArgs ...string) *world {
	s := redistest.Start(t, redisArgs...)
	w := &world{t: t, redis: s, rdb: s.Client(t), backend: newBackend(t, delay)}
	t.Cleanup(func() {
		if left := guards(t, w.rdb); len(left) > 0 && !w.broken {
			t.Errorf("guards were left behind: %q", left)
		}
	})
	return w
}

// engine starts an engine, which ends with the test.
func (w *world) engine(opts Options) *Engine {
	e := New(opts)
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		e.Close(ctx)
	})
	return e
}

// keyspace is the keyspace "products" with the keys product:{id}.
func (w *world) keyspace(change ...func(*Keyspace)) Keyspace {
	k := Keyspace{
		Name: "products", Key: "product:{id}",
		Expire: 2 * time.Second, DueAfter: 1240 * time.Millisecond, GuardTimeout: time.Second,
		Loader:        &httploader.Config{URL: w.backend.URL + "/{id}", Timeout: time.Second},
		MaxConcurrent: 6, OnNotFound: Delete,
	}
	for _, c := range change {
		c(&k)
	}
	return k
}

// web is the loader of a keyspace, to be changed.
func web(k *Keyspace) *httploader.Config { return k.Loader.(*httploader.Config) }

func (w *world) plan(keyspaces ...Keyspace) Plan {
	return Plan{Redis: redisconn.Config{Address: w.redis.Addr}, Keyspaces: keyspaces}
}

var catalog = ID{"shop", "catalog"}

func (w *world) apply(e *Engine, p Plan) {
	w.t.Helper()
	put(w.t, e, catalog, p)
}

// put applies a plan of any policy.
func put(t *testing.T, e *Engine, id ID, p Plan) {
	t.Helper()
	if err := e.Apply(id, p); err != nil {
		t.Fatal(err)
	}
}

func (w *world) set(key, value string, ttl time.Duration) {
	w.t.Helper()
	if err := w.rdb.Set(w.t.Context(), key, value, ttl).Err(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(key string) string {
	w.t.Helper()
	value, err := w.rdb.Get(w.t.Context(), key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		w.t.Fatal(err)
	}
	return value
}

// products are the snapshot of the keyspace "products".
func products(e *Engine) KeyspaceSnapshot {
	snap, ok := e.Snapshot(catalog)
	if !ok || len(snap.Keyspaces) == 0 {
		return KeyspaceSnapshot{}
	}
	return snap.Keyspaces[0]
}

// eventually waits for what must come true.
func eventually(t *testing.T, what string, within time.Duration, check func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !check(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// guards are the keys that Keepfresh has in Redis.
func guards(t *testing.T, rdb *redis.Client) []string {
	t.Helper()
	keys, err := rdb.Keys(context.Background(), "keepfresh:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// names are prefix0 to prefix(n-1).
func names(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = prefix + strconv.Itoa(i)
	}
	return names
}

// metric is the sum of a metric's series that have the label value, or of all
// of them if it is empty. A histogram counts its observations.
func metric(t *testing.T, r *prometheus.Registry, name, value string) (sum float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			has := value == ""
			for _, l := range m.GetLabel() {
				has = has || l.GetValue() == value
			}
			if f.GetName() == name && has {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// proxy passes connections on to a Redis until it is cut.
type proxy struct {
	addr   string
	target string
	mu     sync.Mutex
	down   bool
	conns  []net.Conn
}

func newProxy(t *testing.T, target string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), target: target}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			target := p.target
			p.mu.Unlock()
			out, err := net.Dial("tcp", target)
			if err != nil || !p.hold(in, out) {
				_ = in.Close()
				continue
			}
			serving.Go(func() { pass(in, out) })
			serving.Go(func() { pass(out, in) })
		}
	})
	t.Cleanup(func() {
		p.cut()
		_ = l.Close()
		serving.Wait()
	})
	return p
}

func pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = from.Close(), to.Close()
}

func (p *proxy) hold(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		for _, c := range conns {
			_ = c.Close()
		}
		return false
	}
	p.conns = append(p.conns, conns...)
	return true
}

// cut ends all connections, and lets no new ones through until mend.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// repoint has new connections lead to another target; those that are open stay.
func (p *proxy) repoint(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}
