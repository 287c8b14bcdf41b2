// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http tells of hostile servers
	goleak.VerifyTestMain(m)
}

// byNetHTTP in the environment has every test go through net/http's transport,
// where the loader by itself would call directly.
const byNetHTTP = "KEEPFRESH_LOADER_NET_HTTP"

// TestByNetHTTP runs all tests again: whatever calls, the promises are the same.
func TestByNetHTTP(t *testing.T) {
	if os.Getenv(byNetHTTP) != "" {
		t.Skip("this is it")
	}
	t.Parallel()
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=.", "-test.short="+strconv.FormatBool(testing.Short()))
	again.Env = append(os.Environ(), byNetHTTP+"=1")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// tested is a source as tests use it.
type tested struct{ *Source }

// Load returns the value of a key, and lets go of its room.
func (l *tested) Load(ctx context.Context, key string) ([]byte, error) {
	result := l.LoadOne(ctx, key)
	result.Hold.Release()
	return result.Value, result.Failure()
}

// LoadOne loads a key by a call of its own.
func (l *tested) LoadOne(ctx context.Context, key string) loader.Result {
	return l.Source.Load(ctx, []string{key})[0]
}

// LoadMany loads keys, and singles out those for which calls fail.
func (l *tested) LoadMany(ctx context.Context, keys []string, again func(context.Context) error) []loader.Result {
	return loader.Split(l.Source, again).Load(ctx, keys)
}

// Host is the host, and the port if the URL has one, that is called.
func (l *tested) Host() string { return l.urls.host }

// setup is all that a source is made of.
type setup struct {
	Config
	loader.Environment
	options
}

type option func(*setup)

func viaNetHTTP(s *setup) { s.NetHTTP = true }

func withTransport(rt http.RoundTripper) option { return func(s *setup) { s.transport = rt } }
func withTLS(c *tls.Config) option              { return func(s *setup) { s.tls = c } }
func withEgress(rules *egress.Rules) option     { return func(s *setup) { s.Egress = rules } }
func withRoom(room *loader.Room) option         { return func(s *setup) { s.Room = room } }
func withConns(n int) option                    { return func(s *setup) { s.MaxConcurrent = n } }

// patience is the timeout of loads that are not meant to reach it, haste of those
// that are.
const (
	patience = 20 * time.Second
	haste    = 100 * time.Millisecond
)

// newLoader returns a loader of keys {id} from base + /{id}, for the time of the
// test.
func newLoader(t testing.TB, base string, cfg Config, opts ...option) *tested {
	t.Helper()
	cfg.URL = base + "/{id}"
	return makeLoader(t, "p:{id}", cfg, opts...)
}

func makeLoader(t testing.TB, keys string, cfg Config, opts ...option) *tested {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = patience
	}
	made := setup{Config: cfg}
	if os.Getenv(byNetHTTP) != "" {
		viaNetHTTP(&made)
	}
	for _, opt := range opts {
		opt(&made)
	}
	l, err := open(parsed(keys), made.Config, made.Environment, made.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return &tested{l}
}

// serve runs a server for the time of the test.
func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	return start(t, httptest.NewUnstartedServer(handler), (*httptest.Server).Start)
}

func start(t testing.TB, s *httptest.Server, how func(*httptest.Server)) *httptest.Server {
	t.Helper()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	how(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// counted counts the connections that a server gets which is to be started.
func counted(s *httptest.Server) *atomic.Int32 {
	var connections atomic.Int32
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	return &connections
}

// answer runs a server that answers every connection with the same bytes, and
// then closes it. It reads the request's first bytes before.
func answer(t testing.TB, bytes string) (base string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte(bytes))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return "http://" + listener.Addr().String()
}

// asError returns err as what Load promises, or fails.
func asError(t testing.TB, err error) *loader.Error {
	t.Helper()
	e, ok := errors.AsType[*loader.Error](err)
	if !ok {
		t.Fatalf("got %T %v, want an *loader.Error", err, err)
	}
	return e
}

// wantReason fails unless err has the reason.
func wantReason(t testing.TB, err error, want loader.Reason) {
	t.Helper()
	if e := asError(t, err); e.Reason != want {
		t.Fatalf("got %v, want reason %s", e, want)
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
