// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/dnstest"
	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
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

func guarded(t *testing.T, base string, names *dnstest.Server, more ...option) *tested {
	t.Helper()
	rules, err := egress.New(egress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	more = append(more, withEgress(rules))
	if names != nil {
		more = append(more, func(s *setup) { s.resolver = names.Resolver() })
	}
	return newLoader(t, base, Config{Timeout: 2 * time.Second}, more...)
}

func wantDenied(t *testing.T, what string, l *tested, rule string) {
	t.Helper()
	_, err := l.Load(t.Context(), "p:1")
	var failure *loader.Error
	if !errors.As(err, &failure) || failure.Reason != loader.EgressDenied || !strings.Contains(failure.Message, rule) {
		t.Errorf("%s: %v", what, err)
	}
}

// The ways to spell this machine, or to have a name mean it, by both transports.
func TestNoSpellingOfADeniedAddressConnects(t *testing.T) {
	t.Parallel()
	port, connections := secretive(t)
	names := dnstest.Start(t)
	var hosts []string
	for host, means := range map[string]string{ // what the name server says
		"evil.example": "127.0.0.1", "evil.example.": "127.0.0.1", "six.example": "::1", "mapped.example": "::ffff:127.0.0.1",
		"metadata.example": "169.254.169.254", "any.example": "0.0.0.0", "none.example": "::", "0x7f000001": "127.0.0.1",
		"0x7f.0.0.1": "127.0.0.1", "127.0x1": "127.0.0.1",
		"localhost.localdomain": "127.0.0.1", "127.0.0.1.nip.io": "127.0.0.1", "mix.example": "127.0.0.1 ::1", "EVIL.Example": "127.0.0.1", "api.localhost": "127.0.0.1",
		"alias.example": "evil.example.", "chain.example": "alias.example.", "longer.example": "chain.example.", "longest.example": "longer.example.",
		"translated.example": "64:ff9b::7f00:1", "tunnel.example": "2002:7f00:1::", "compatible.example": "::127.0.0.1", "alias6.example": "six.example.",
	} {
		names.Set(host, strings.Fields(means)...)
		hosts = append(hosts, host)
	}
	for _, host := range []string{"2130706433", "127.1", "127.0.1", "0177.0.0.1", "017700000001", "127.000.000.001"} { // no names, nor addresses to Go
		names.Set(host, "127.0.0.1")
		for _, scheme := range []string{"http", "https"} {
			if value, err := guarded(t, scheme+"://"+host+":"+port, names).Load(t.Context(), "p:1"); err == nil {
				t.Errorf("%s is called: %q", host, value)
			}
		}
	}
	names.Set("localhost.", "127.0.0.1")
	hosts = append(hosts, "localhost", "LOCALHOST", "localhost.", // in the hosts file, too
		"127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]",
		"[::127.0.0.1]", "169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::ffff:0:7f00:1]", "[2001:0:7f00:1::]")
	for _, host := range hosts {
		for _, byNetHTTP := range []bool{false, true} {
			l := guarded(t, "http://"+host+":"+port, names, func(s *setup) { s.NetHTTP = byNetHTTP })
			wantDenied(t, fmt.Sprintf("%s (by net/http: %t)", host, byNetHTTP), l, "denied by default")
		}
		wantDenied(t, host+" by https", guarded(t, "https://"+host+":"+port, names), "denied by default")
	}
	if n := connections.Load(); n > 0 {
		t.Errorf("%d connections came", n)
	}
}

func TestANameThatComesToMeanADeniedAddress(t *testing.T) {
	t.Parallel()
	port, connections := secretive(t)
	names := dnstest.Start(t)
	names.Set("rebound.example", "192.0.2.1") // which nobody has
	l := guarded(t, "http://rebound.example:"+port, names)
	l.timeout = 50 * time.Millisecond
	_, _ = l.Load(t.Context(), "p:1")
	names.Set("rebound.example", "127.0.0.1")
	l.timeout = 2 * time.Second
	wantDenied(t, "at the second look", l, "loopback")
	if connections.Load() > 0 {
		t.Error("it connected")
	}
}

// A redirect would be one more way, if any was followed.
func TestARedirectToADeniedAddress(t *testing.T) {
	t.Parallel()
	port, connections := secretive(t)
	for _, to := range []string{"http://127.0.0.1:" + port, "//127.0.0.1:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://user:password@localhost:" + port} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			})
			_, err := newLoader(t, server.URL, Config{}).Load(t.Context(), "p:1")
			var failure *loader.Error
			if !errors.As(err, &failure) || failure.Reason != loader.Redirected || strings.Contains(failure.Message, port) {
				t.Errorf("%d to %s: %v", status, to, err)
			}
		}
	}
	if connections.Load() > 0 {
		t.Error("it was followed")
	}
}

// A policy that is tied to the Services of its namespace: what counts is the answer that
// the connection is made by (package egress has the cases).
func TestAnAliasOfAServiceIsNotCalled(t *testing.T) {
	t.Parallel()
	names := dnstest.Start(t)
	names.Set("external.shop.svc", "prices.other.svc.cluster.local.")
	names.Set("prices.other.svc.cluster.local", "192.0.2.1")
	rules, err := egress.New(egress.Config{OwnServices: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, byNetHTTP := range []bool{false, true} {
		for host, rule := range map[string]string{"external.shop.svc": "alias", "prices.other.svc.cluster.local": "no Service of the policy's namespace"} {
			l := newLoader(t, "http://"+host, Config{Timeout: 2 * time.Second}, withEgress(rules.For("shop")), func(s *setup) { s.resolver, s.NetHTTP = names.Resolver(), byNetHTTP })
			wantDenied(t, host, l, rule)
		}
	}
}

// What is told does not depend on whether anything listens there.
func TestADenialTellsNothingOfItsTarget(t *testing.T) {
	t.Parallel()
	port, _ := secretive(t)
	var said [2]string
	for i, p := range []string{port, "1"} {
		_, err := guarded(t, "http://127.0.0.1:"+p, nil).Load(t.Context(), "p:1")
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
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		again.Env = append(os.Environ(), "HTTP_PROXY=http://127.0.0.1:"+port, "HTTPS_PROXY=http://127.0.0.1:"+port)
		if out, err := again.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if n := connections.Load(); n != 1 { // the one that is allowed
			t.Errorf("the proxy got %d connections", n)
		}
		return
	}
	names := dnstest.Start(t)
	names.Set("metadata.example", "169.254.169.254")
	names.Set("alias.example", "metadata.example.")
	names.Set("mix.example", "192.0.2.1", "127.0.0.1")
	names.Set("good.example", "192.0.2.1")
	for host, rule := range map[string]string{"metadata.example": "link-local", "alias.example": "link-local", "169.254.169.254": "link-local", "mix.example": "loopback", "unknown.example": "cannot be looked up"} {
		wantDenied(t, host, guarded(t, "http://"+host, names), rule)
		wantDenied(t, host+" by https", guarded(t, "https://"+host, names), rule)
	}
	if value, err := guarded(t, "http://good.example", names).Load(t.Context(), "p:1"); err != nil || string(value) != "a secret" {
		t.Errorf("what is allowed is not to be had by the proxy: %q, %v", value, err)
	}
}
