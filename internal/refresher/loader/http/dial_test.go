// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/keepfresh/keepfresh/internal/dnstest"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// service is a name with backends at addresses of its own, which all listen on one
// port. They answer with their address.
type service struct {
	port  string
	names *dnstest.Server
}

func newService(t *testing.T, secure bool, addresses ...string) *service {
	s := &service{port: "0", names: dnstest.Start(t)}
	for _, address := range addresses {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, s.port))
		if err != nil {
			t.Skipf("the port is taken at another address: %v", err)
		}
		_, s.port, _ = net.SplitHostPort(listener.Addr().String())
		backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, address) }))
		_ = backend.Listener.Close()
		backend.Listener = listener
		backend.Config.ErrorLog = log.New(io.Discard, "", 0)
		if backend.EnableHTTP2 = true; secure {
			backend.StartTLS()
		} else {
			backend.Start()
		}
		t.Cleanup(func() {
			backend.CloseClientConnections()
			backend.Close()
		})
	}
	return s
}

// means sets what the name means.
func (s *service) means(addresses ...string) { s.names.Set("catalog.shop.svc", addresses...) }

func (s *service) options(age time.Duration) option {
	return func(made *setup) { made.maxAge, made.resolver = age, s.names.Resolver() }
}

func (s *service) loader(t *testing.T, scheme string, age time.Duration) *tested {
	options := []option{s.options(age)}
	if scheme == "https" {
		options = append(options, withTLS(insecure()))
	}
	return newLoader(t, scheme+"://catalog.shop.svc:"+s.port, Config{}, options...)
}

// insecure takes any certificate: the names of these tests have none.
func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func answeredBy(t *testing.T, l *tested) string {
	t.Helper()
	value, err := l.Load(t.Context(), "p:7")
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// The old backend stays up, and so do the connections to it.
func TestANameThatComesToMeanAnotherBackendIsFollowed(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			const age = 300 * time.Millisecond
			s := newService(t, scheme == "https", "127.0.0.1", "127.0.0.2")
			s.means("127.0.0.1")
			l := s.loader(t, scheme, age)
			if got := answeredBy(t, l); got != "127.0.0.1" {
				t.Fatalf("answered by %s", got)
			}
			s.means("127.0.0.2")
			begun := time.Now()
			for answeredBy(t, l) != "127.0.0.2" {
				if time.Since(begun) > 10*time.Second {
					t.Fatal("the old backend goes on being called")
				}
			}
			for range 20 {
				if got := answeredBy(t, l); got != "127.0.0.2" {
					t.Errorf("then answered by %s", got)
				}
			}
		})
	}
}

func TestCallsSpreadOverAllAddressesOfAName(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			s := newService(t, scheme == "https", "127.0.0.1", "127.0.0.2", "127.0.0.3")
			s.means("127.0.0.1", "127.0.0.2", "127.0.0.3")
			l := s.loader(t, scheme, time.Millisecond) // a connection each time
			answered := map[string]int{}
			for range 90 {
				answered[answeredBy(t, l)]++
				time.Sleep(2 * time.Millisecond)
			}
			if len(answered) != 3 {
				t.Errorf("answered by %v, want all three", answered)
			}
		})
	}
}

func TestAnAddressThatDoesNotAnswerIsPassedOver(t *testing.T) {
	s := newService(t, false, "127.0.0.2")
	s.means("127.0.0.1", "127.0.0.2", "127.0.0.3")
	l := s.loader(t, "http", time.Millisecond)
	for range 20 {
		if got := answeredBy(t, l); got != "127.0.0.2" {
			t.Errorf("answered by %s", got)
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.means("127.0.0.1")
	time.Sleep(2 * time.Millisecond)
	_, err := l.Load(t.Context(), "p:7")
	wantReason(t, err, loader.ConnectionFailed)
	if !strings.Contains(err.Error(), "refused") {
		t.Errorf("message %q", err)
	}
	l = newLoader(t, "http://nobody.shop.svc:"+s.port, Config{}, s.options(time.Minute))
	_, err = l.Load(t.Context(), "p:7")
	if wantReason(t, err, loader.ConnectionFailed); !strings.Contains(err.Error(), "no such host") {
		t.Errorf("message %q", err)
	}
}

// A call that runs when its connection's time is over is not cut off, and its
// connection ends with it.
func TestACallOutlivesItsConnectionsTime(t *testing.T) {
	for protocol, run := range map[string]func(testing.TB, http.HandlerFunc, Config, ...option) *tested{"HTTP/1.1": optedHTTP1, "HTTP/2": optedHTTP2} {
		t.Run(protocol, func(t *testing.T) {
			var open atomic.Int64
			release := make(chan struct{})
			l := run(t, func(w http.ResponseWriter, r *http.Request) {
				if open.Add(1) == 1 {
					<-release
				}
				_, _ = io.WriteString(w, "value")
			}, Config{}, withConns(2), func(s *setup) { s.maxAge = 20 * time.Millisecond })
			ended := make(chan error, 1)
			go func() {
				_, err := l.Load(t.Context(), "p:1")
				ended <- err
			}()
			for open.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			for range 5 {
				time.Sleep(25 * time.Millisecond)
				answeredBy(t, l)
			}
			close(release)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFormerGenerationsLeaveNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "value") }))
	l := newLoader(t, server.URL, Config{}, withTLS(insecure()), func(s *setup) { s.maxAge = 5 * time.Millisecond })
	for range 10 {
		answeredBy(t, l)
		time.Sleep(7 * time.Millisecond)
	}
	l.Close()
	server.Close()
	goleak.VerifyNone(t, before)
}

// The dot at the end of a name, which keeps a resolver from searching, is for DNS
// alone: neither the Host header nor TLS has it.
func TestADotAtTheEndOfAHostIsForDNSAlone(t *testing.T) {
	var host atomic.Value
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host.Store(r.Host)
		_, _ = io.WriteString(w, "value")
	})
	for _, scheme := range []string{"http", "https"} {
		server := httptest.NewUnstartedServer(handler)
		server.EnableHTTP2 = true
		var trust *tls.Config
		if scheme == "https" {
			var names atomic.Value
			server.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				names.Store(hello.ServerName)
				return nil, nil
			}}
			start(t, server, (*httptest.Server).StartTLS)
			trust = server.Client().Transport.(*http.Transport).TLSClientConfig
			defer func() {
				if got := names.Load(); got != "example.com" {
					t.Errorf("SNI says %v", got)
				}
			}()
		} else {
			start(t, server, (*httptest.Server).Start)
		}
		_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
		names := dnstest.Start(t)
		names.Set("example.com.", "127.0.0.1") // the test certificate's name
		l := newLoader(t, scheme+"://example.com.:"+port, Config{}, withTLS(trust), func(s *setup) { s.resolver = names.Resolver() })
		if got := answeredBy(t, l); got != "value" || host.Load() != "example.com:"+port || names.Asked("example.com.") == 0 {
			t.Errorf("%s: %q of host %v", scheme, got, host.Load())
		}
	}
}

func TestWithoutDot(t *testing.T) {
	for host, want := range map[string]string{
		"a.b.": "a.b", "a.b.:80": "a.b:80", "a.b": "a.b", "a.b:80": "a.b:80", "[::1]:80": "[::1]:80", "127.0.0.1": "127.0.0.1",
	} {
		if got := withoutDot(host); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
}
