// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package direct

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is the time of calls that are not meant to reach it.
const patience = 20 * time.Second

const five = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

// serve has talk serve each connection, one after the other, and closes it after that.
func serve(t *testing.T, talk func(net.Conn)) (address string) {
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
			talk(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func client(address string) *Client {
	return New(Config{
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		},
		MaxConns: 2, MaxAge: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	})
}

func get(b []byte) []byte { return append(b, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"...) }

func TestIdleConnectionsAreClosed(t *testing.T) {
	ended := make(chan struct{})
	address := serve(t, func(conn net.Conn) {
		requests := bufio.NewReader(conn)
		_, _ = http.ReadRequest(requests)
		_, _ = io.WriteString(conn, five+"value")
		_, _ = requests.ReadByte()
		ended <- struct{}{}
	})
	d := client(address)
	call := func() {
		r, err := d.Do(Span{t.Context(), time.Now().Add(patience)}, get)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(r)
		r.End(false)
	}
	call()
	d.reap()
	if len(d.idle) != 1 || d.reaper == nil {
		t.Fatalf("%d connections kept, want the one just used", len(d.idle))
	}
	d.idle[0].since = time.Now().Add(-d.IdleTimeout)
	d.reap()
	<-ended
	if len(d.idle) != 0 || d.reaper != nil {
		t.Errorf("%d connections kept", len(d.idle))
	}
	call()
	d.Close()
	<-ended
	call() // one that is in use when it is closed
	<-ended
}

// Connections that are idle take turns, so that none of them, and no address, is left
// out where one call follows the other.
func TestIdleConnectionsTakeTurns(t *testing.T) {
	d := New(Config{MaxConns: 3, IdleTimeout: time.Hour})
	for range 3 {
		d.push(&conn{until: time.Now().Add(time.Hour)})
	}
	defer d.reaper.Stop()
	first := d.pop()
	d.push(first)
	if d.pop() == first {
		t.Error("the one that was used last is used again")
	}
}

func TestASpanEndsWithItsContextOrItsDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	open := Span{ctx, time.Now().Add(time.Hour)}
	if err := open.Err(); err != nil {
		t.Errorf("before its end: %v", err)
	}
	if err := (Span{ctx, time.Now()}).Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after its deadline: %v", err)
	}
	cancel()
	if err := open.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: %v", err)
	}
}
