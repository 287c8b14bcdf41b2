// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// script runs a server that gives each connection to talk, with its number from
// 0, and closes it after that.
func script(t testing.TB, talk func(n int, conn net.Conn, requests *bufio.Reader)) (base string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			talk(n, conn, bufio.NewReader(conn))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return "http://" + listener.Addr().String()
}

// path reads a request and returns what it asks for, or "" at the end.
func path(requests *bufio.Reader) string {
	r, err := http.ReadRequest(requests)
	if err != nil {
		return ""
	}
	return r.URL.Path
}

const five = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

// What a server sends without being asked must never be taken for the answer to
// the next key.
func TestAnswersAreNotMixedUp(t *testing.T) {
	for sentence, late := range map[string]string{
		"an answer too many":            five + "wrong",
		"a body longer than its length": "wrong",
		"a line break too many":         "\r\n",
	} {
		for when, wait := range map[string]time.Duration{"at once": 0, "later": 20 * time.Millisecond} {
			t.Run(sentence+" "+when, func(t *testing.T) {
				t.Parallel()
				sent := make(chan struct{}, 1)
				l := newLoader(t, script(t, func(n int, conn net.Conn, requests *bufio.Reader) {
					if path(requests) == "" {
						return
					}
					if n > 0 {
						_, _ = io.WriteString(conn, five+"right")
						return
					}
					if wait == 0 {
						_, _ = io.WriteString(conn, five+"first"+late)
					} else {
						_, _ = io.WriteString(conn, five+"first")
						time.Sleep(wait)
						_, _ = io.WriteString(conn, late)
					}
					sent <- struct{}{}
					_, _ = requests.ReadByte() // until the client closes
				}), Config{}, withConns(1))
				if got, err := l.Load(t.Context(), "p:1"); err != nil || string(got) != "first" {
					t.Fatalf("got %q, %v", got, err)
				}
				<-sent
				time.Sleep(5 * time.Millisecond) // for the kernel to deliver it
				if got, err := l.Load(t.Context(), "p:2"); err != nil || string(got) != "right" {
					t.Fatalf("got %q, %v", got, err)
				}
			})
		}
	}
}

// A server that ends idle connections must not fail the next load.
func TestConnectionThatEndedIsReplaced(t *testing.T) {
	for sentence, answers := range map[string]bool{
		"ended while idle":                false,
		"ended when the request had come": true,
	} {
		t.Run(sentence, func(t *testing.T) {
			closed := make(chan struct{}, 10)
			l := newLoader(t, script(t, func(n int, conn net.Conn, requests *bufio.Reader) {
				if path(requests) != "" {
					_, _ = io.WriteString(conn, five+"value")
				}
				if answers && n == 0 {
					_ = path(requests)
				}
				_ = conn.Close()
				closed <- struct{}{}
			}), Config{}, withConns(1))
			for range 3 {
				if got, err := l.Load(t.Context(), "p:1"); err != nil || string(got) != "value" {
					t.Fatalf("got %q, %v", got, err)
				}
				if !answers {
					<-closed
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
}

// A load that was cut off leaves a connection on which its answer may still come.
func TestCutOffConnectionIsNotReused(t *testing.T) {
	var connections atomic.Int32
	l := newLoader(t, script(t, func(n int, conn net.Conn, requests *bufio.Reader) {
		connections.Add(1)
		_ = path(requests)
		if n == 0 {
			time.Sleep(haste)
		}
		_, _ = io.WriteString(conn, five+"value")
		_, _ = requests.ReadByte()
	}), Config{}, withConns(1))
	ctx, cancel := context.WithTimeout(t.Context(), haste/4)
	defer cancel()
	_, err := l.Load(ctx, "p:1")
	wantReason(t, err, loader.Timeout)
	if got, err := l.Load(t.Context(), "p:2"); err != nil || string(got) != "value" {
		t.Fatalf("got %q, %v", got, err)
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestAddress(t *testing.T) {
	for base, want := range map[string]string{
		"http://h": "h:80", "http://h:8080": "h:8080", "http://[::1]": "[::1]:80", "http://[::1]:8080": "[::1]:8080",
	} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		if got := address(u); got != want {
			t.Errorf("%s is reached at %s, want %s", base, got, want)
		}
	}
}

func TestManyHintsAreBounded(t *testing.T) {
	hint := "HTTP/1.1 103 Early Hints\r\nX: " + strings.Repeat("y", 1000) + "\r\n\r\n"
	l := newLoader(t, answer(t, strings.Repeat(hint, 30)+five+"value"), Config{})
	if got, err := l.Load(t.Context(), "p:1"); err != nil || string(got) != "value" {
		t.Errorf("got %q, %v", got, err)
	}
}

// net/http reads the environment once, so that another process has to see it.
func TestProxyOfTheEnvironmentIsUsed(t *testing.T) {
	const proxied = "KEEPFRESH_LOADER_PROXIED"
	if os.Getenv(proxied) != "" {
		got, err := newLoader(t, "http://catalog.invalid", Config{}).Load(t.Context(), "p:7")
		if err != nil || string(got) != "http://catalog.invalid/7" {
			t.Errorf("got %q, %v", got, err)
		}
		return
	}
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) })
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), proxied+"=1", "HTTP_PROXY="+proxy.URL)
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
