// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/egress"
)

// secretive is a server that counts connections, and answers with a secret.
func secretive(t *testing.T) (port string, connections *atomic.Int32) {
	t.Helper()
	s := httptest.NewUnstartedServer(chunks("a secret"))
	connections = counted(s)
	start(t, s, (*httptest.Server).Start)
	_, port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return port, connections
}

func guarded(t *testing.T, base string, more func(*options)) *Loader {
	t.Helper()
	rules, err := egress.New(egress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return newLoader(t, base, HTTP{Timeout: 2 * time.Second}, WithEgress(rules), more)
}

func wantDenied(t *testing.T, what string, l *Loader, rule string) {
	t.Helper()
	_, err := l.Load(t.Context(), "p:1")
	var failure *Error
	if !errors.As(err, &failure) || failure.Reason != EgressDenied || !strings.Contains(failure.Message, rule) {
		t.Errorf("%s: %v", what, err)
	}
}

// The ways to spell this machine, or to have a name mean it, by both transports.
func TestNoSpellingOfADeniedAddressConnects(t *testing.T) {
	t.Parallel()
	port, connections := secretive(t)
	names := map[string]string{ // what the name server says
		"evil.example": "127.0.0.1", "evil.example.": "127.0.0.1", "six.example": "::1", "mapped.example": "::ffff:127.0.0.1",
		"metadata.example": "169.254.169.254", "any.example": "0.0.0.0", "none.example": "::", "2130706433": "127.0.0.1", "0x7f000001": "127.0.0.1",
		"127.1": "127.0.0.1", "0177.0.0.1": "127.0.0.1", "0x7f.0.0.1": "127.0.0.1", "127.0.1": "127.0.0.1", "localhost": "127.0.0.1",
		"LOCALHOST": "127.0.0.1", "localhost.": "127.0.0.1", "localhost.localdomain": "127.0.0.1", "127.0.0.1.nip.io": "127.0.0.1", "mix.example": "127.0.0.1 ::1",
	}
	lookup := func(o *options) {
		o.lookup = func(_ context.Context, host string) ([]string, error) {
			if said, found := names[host]; found {
				return strings.Fields(said), nil
			}
			return []string{host}, nil // an address
		}
	}
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]",
		"[::127.0.0.1]", "169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"} {
		names[host] = strings.Trim(host, "[]")
	}
	for host := range names {
		for _, byNetHTTP := range []bool{false, true} {
			l := guarded(t, "http://"+host+":"+port, func(o *options) { lookup(o); o.netHTTP = byNetHTTP })
			wantDenied(t, fmt.Sprintf("%s (by net/http: %t)", host, byNetHTTP), l, "denied by default")
		}
		l := guarded(t, "https://"+host+":"+port, lookup)
		wantDenied(t, host+" by https", l, "denied by default")
	}
	if n := connections.Load(); n > 0 {
		t.Errorf("%d connections came", n)
	}
}

func TestANameThatComesToMeanADeniedAddress(t *testing.T) {
	t.Parallel()
	port, connections := secretive(t)
	var looks atomic.Int64
	l := guarded(t, "http://rebound.example:"+port, func(o *options) {
		o.lookup = func(context.Context, string) ([]string, error) {
			if looks.Add(1) == 1 {
				return []string{"192.0.2.1"}, nil // which nobody has
			}
			return []string{"127.0.0.1"}, nil
		}
	})
	l.timeout = 50 * time.Millisecond
	_, _ = l.Load(t.Context(), "p:1")
	l.timeout = 2 * time.Second
	wantDenied(t, "at the second look", l, "loopback")
	if connections.Load() > 0 {
		t.Error("it connected")
	}
}

// What is told does not depend on whether anything listens there.
func TestADenialTellsNothingOfItsTarget(t *testing.T) {
	t.Parallel()
	port, _ := secretive(t)
	var said [2]string
	for i, p := range []string{port, "1"} {
		_, err := guarded(t, "http://127.0.0.1:"+p, func(*options) {}).Load(t.Context(), "p:1")
		said[i] = err.Error()
	}
	if said[0] != said[1] {
		t.Errorf("%q and %q", said[0], said[1])
	}
}

// The environment of a process is read once, so that this takes one of its own.
func TestWhatAProxyIsAskedForIsJudged(t *testing.T) {
	if os.Getenv("HTTP_PROXY") == "" {
		port, connections := secretive(t)
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v") //nolint:gosec // this program
		again.Env = append(os.Environ(), "HTTP_PROXY=http://127.0.0.1:"+port, "HTTPS_PROXY=http://127.0.0.1:"+port)
		if out, err := again.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if n := connections.Load(); n != 1 { // the one that is allowed
			t.Errorf("the proxy got %d connections", n)
		}
		return
	}
	lookup := func(o *options) {
		o.lookup = func(_ context.Context, host string) ([]string, error) {
			said, found := map[string][]string{
				"metadata.example": {"169.254.169.254"}, "mix.example": {"192.0.2.1", "127.0.0.1"}, "good.example": {"192.0.2.1"}, "169.254.169.254": {"169.254.169.254"}, "127.0.0.1": {"127.0.0.1"},
			}[host]
			if !found {
				return nil, errors.New("no such host")
			}
			return said, nil
		}
	}
	for host, rule := range map[string]string{"metadata.example": "link-local", "169.254.169.254": "link-local", "mix.example": "loopback", "unknown.example": "cannot be looked up"} {
		wantDenied(t, host, guarded(t, "http://"+host, lookup), rule)
		wantDenied(t, host+" by https", guarded(t, "https://"+host, lookup), rule)
	}
	if value, err := guarded(t, "http://good.example", lookup).Load(t.Context(), "p:1"); err != nil || string(value) != "a secret" {
		t.Errorf("what is allowed is not to be had by the proxy: %q, %v", value, err)
	}
}
