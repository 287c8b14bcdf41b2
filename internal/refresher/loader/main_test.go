// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
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

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverProcess) != "" {
		runServer()
	}
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

// Load returns the value of a key, and lets go of its room.
func (l *Loader) Load(ctx context.Context, key string) ([]byte, error) {
	result := l.LoadOne(ctx, key)
	result.Hold.Release()
	if result.Err != nil {
		return nil, result.Err
	}
	return result.Value, nil
}

func viaNetHTTP(o *options) { o.netHTTP = true }

// patience is the timeout of loads that are not meant to reach it, haste of those
// that are.
const (
	patience = 20 * time.Second
	haste    = 100 * time.Millisecond
)

// newLoader returns a loader of keys {id} from base + /{id}, for the time of the
// test.
func newLoader(t testing.TB, base string, cfg HTTP, opts ...Option) *Loader {
	t.Helper()
	cfg.URL = base + "/{id}"
	return makeLoader(t, "p:{id}", cfg, opts...)
}

func makeLoader(t testing.TB, keys string, cfg HTTP, opts ...Option) *Loader {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = patience
	}
	if os.Getenv(byNetHTTP) != "" {
		opts = append(opts, viaNetHTTP)
	}
	l, err := NewHTTP(keyspace.MustParse(keys), cfg, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
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
func asError(t testing.TB, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %T %v, want an *Error", err, err)
	}
	return e
}

// wantReason fails unless err has the reason.
func wantReason(t testing.TB, err error, want Reason) {
	t.Helper()
	if e := asError(t, err); e.Reason != want {
		t.Fatalf("got %v, want reason %s", e, want)
	}
}
