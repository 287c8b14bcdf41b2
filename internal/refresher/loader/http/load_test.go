// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

func zip(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func TestLoadValue(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20/16)
	binary := []byte("\x00\xff\r\n\x80")
	for sentence, c := range map[string]struct {
		handler http.HandlerFunc
		want    []byte
	}{
		"with a length":                {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(binary) }, binary},
		"empty":                        {func(http.ResponseWriter, *http.Request) {}, []byte{}},
		"of exactly the limit":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(large) }, large},
		"in chunks":                    {chunks("ab", "cd", ""), []byte("abcd")},
		"in chunks, empty":             {chunks(""), []byte{}},
		"in chunks, beyond first read": {chunks(strings.Repeat("x", 4000), "y"), []byte(strings.Repeat("x", 4000) + "y")},
		"compressed": {func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				w.WriteHeader(http.StatusNotAcceptable)
			}
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zip(large))
		}, large},
		"after an early hint": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = w.Write(binary)
		}, binary},
		"with encoding identity": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "identity")
			_, _ = w.Write(binary)
		}, binary},
	} {
		for protocol, run := range map[string]func(testing.TB, http.HandlerFunc, Config) *tested{"HTTP/1.1": overHTTP1, "HTTP/2": overHTTP2} {
			t.Run(sentence+" by "+protocol, func(t *testing.T) {
				got, err := run(t, c.handler, Config{}).Load(t.Context(), "p:7")
				if err != nil || got == nil || !bytes.Equal(got, c.want) {
					t.Errorf("got %d bytes, %v; want %d bytes", len(got), err, len(c.want))
				}
			})
		}
	}
}

// chunks writes each part by itself.
func chunks(parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, part := range parts {
			_, _ = w.Write([]byte(part))
			w.(http.Flusher).Flush()
		}
	}
}

func overHTTP1(t testing.TB, handler http.HandlerFunc, cfg Config) *tested {
	return optedHTTP1(t, handler, cfg)
}

func overHTTP2(t testing.TB, handler http.HandlerFunc, cfg Config) *tested {
	return optedHTTP2(t, handler, cfg)
}

func optedHTTP1(t testing.TB, handler http.HandlerFunc, cfg Config, opts ...option) *tested {
	return newLoader(t, serve(t, handler).URL, cfg, opts...)
}

func optedHTTP2(t testing.TB, handler http.HandlerFunc, cfg Config, opts ...option) *tested {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
			return
		}
		handler(w, r)
	}))
	s.EnableHTTP2 = true
	start(t, s, (*httptest.Server).StartTLS)
	return newLoader(t, s.URL, cfg, append(opts, withTLS(s.Client().Transport.(*http.Transport).TLSClientConfig))...)
}

func TestLoadSendsTheRequest(t *testing.T) {
	var seen *http.Request
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen = r })
	for sentence, c := range map[string]struct {
		headers []Header
		host    string
		want    map[string]string
	}{
		"with its own name": {nil, "", map[string]string{"User-Agent": "keepfresh", "Accept-Encoding": "gzip"}},
		"with the headers given": {
			[]Header{{"authorization", "Bearer x"}, {"X-Two", "1"}, {"X-Two", "2"}}, "",
			map[string]string{"Authorization": "Bearer x", "X-Two": "1|2", "User-Agent": "keepfresh"}},
		"with another name":   {[]Header{{"User-Agent", "me"}}, "", map[string]string{"User-Agent": "me"}},
		"to a virtual host":   {[]Header{{"Host", "shop.example"}}, "shop.example", nil},
		"without compression": {[]Header{{"Accept-Encoding", "identity"}}, "", map[string]string{"Accept-Encoding": "identity"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			l := newLoader(t, s.URL, Config{Headers: c.headers})
			if _, err := l.Load(t.Context(), "p:a/b"); err != nil {
				t.Fatal(err)
			}
			if seen.Method != "GET" || seen.RequestURI != "/a%2Fb" {
				t.Errorf("got %s %s", seen.Method, seen.RequestURI)
			}
			if host := c.host; host != "" && seen.Host != host {
				t.Errorf("got host %s", seen.Host)
			}
			for name, want := range c.want {
				if got := strings.Join(seen.Header.Values(name), "|"); got != want {
					t.Errorf("header %s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestStatus(t *testing.T) {
	future := time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat)
	past := time.Now().Add(-10 * time.Minute).UTC().Format(http.TimeFormat)
	for sentence, c := range map[string]struct {
		status     int
		retryAfter string
		want       loader.Reason
		min, max   time.Duration
	}{
		"201 is not a value":                      {status: 201, want: loader.UnexpectedStatus},
		"202 is not a value yet":                  {status: 202, want: loader.UnexpectedStatus},
		"204 has no value":                        {status: 204, want: loader.UnexpectedStatus},
		"206 is part of a value":                  {status: 206, want: loader.UnexpectedStatus},
		"301 is not followed":                     {status: 301, want: loader.Redirected},
		"304 is not a value":                      {status: 304, want: loader.Redirected},
		"307 is not followed":                     {status: 307, want: loader.Redirected},
		"400":                                     {status: 400, want: loader.UnexpectedStatus},
		"401":                                     {status: 401, want: loader.UnexpectedStatus},
		"404 says that there is no value":         {status: 404, want: loader.NotFound},
		"410 says that there is no value":         {status: 410, want: loader.NotFound},
		"500":                                     {status: 500, want: loader.UnexpectedStatus},
		"599, which nobody knows":                 {status: 599, want: loader.UnexpectedStatus},
		"429 without a time":                      {status: 429, want: loader.UnexpectedStatus},
		"429 with seconds":                        {429, "7", loader.UnexpectedStatus, 7 * time.Second, 7 * time.Second},
		"503 with seconds":                        {503, " 7 ", loader.UnexpectedStatus, 7 * time.Second, 7 * time.Second},
		"503 with a date":                         {503, future, loader.UnexpectedStatus, 9 * time.Minute, 10 * time.Minute},
		"503 with a date that has passed":         {503, past, loader.UnexpectedStatus, 0, 0},
		"503 with more than an hour":              {503, "86400", loader.UnexpectedStatus, time.Hour, time.Hour},
		"503 with more seconds than fit":          {503, "99999999999999999999999", loader.UnexpectedStatus, time.Hour, time.Hour},
		"503 with more nanoseconds than fit":      {503, "9999999999999", loader.UnexpectedStatus, time.Hour, time.Hour},
		"503 with a date in a thousand years":     {503, "Fri, 31 Dec 9999 23:59:59 GMT", loader.UnexpectedStatus, time.Hour, time.Hour},
		"503 with a negative number":              {503, "-5", loader.UnexpectedStatus, 0, 0},
		"503 with nonsense":                       {503, "soon", loader.UnexpectedStatus, 0, 0},
		"500 does not say when, whatever it says": {500, "7", loader.UnexpectedStatus, 0, 0},
	} {
		t.Run(sentence, func(t *testing.T) {
			l := overHTTP1(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.retryAfter != "" {
					w.Header().Set("Retry-After", c.retryAfter)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
			}, Config{})
			_, err := l.Load(t.Context(), "p:7")
			wantReason(t, err, c.want)
			e := asError(t, err)
			if e.Status != c.status || !strings.Contains(e.Message, strconv.Itoa(c.status)) || !strings.Contains(e.Message, l.Host()) {
				t.Errorf("status %d, message %q", e.Status, e.Message)
			}
			if e.RetryAfter < c.min || e.RetryAfter > c.max {
				t.Errorf("retry after %s", e.RetryAfter)
			}
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("called, with Authorization %q", r.Header.Get("Authorization"))
	})
	l := overHTTP1(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/7?s3cret", http.StatusFound)
	}, Config{Headers: []Header{{"Authorization", "Bearer s3cret"}}})
	_, err := l.Load(t.Context(), "p:7")
	if wantReason(t, err, loader.Redirected); strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error quotes the answer: %v", err)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if status == 0 {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zip(bytes.Repeat([]byte("x"), 10000)))
			return
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			chunks(strings.Repeat("x", 10000), "end")(w, r)
		}
	}))
	connections := counted(s)
	start(t, s, (*httptest.Server).Start)
	l := newLoader(t, s.URL, Config{})
	for range 3 {
		for _, key := range []string{"p:200", "p:404", "p:302", "p:500", "p:204", "p:zip"} {
			_, _ = l.Load(t.Context(), key)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for calls in turn, want 1", n)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	var open, most atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			n := open.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
		case http.StateClosed:
			open.Add(-1)
		}
	}
	start(t, s, (*httptest.Server).Start)
	l := newLoader(t, s.URL, Config{}, withConns(2))
	var loads sync.WaitGroup
	for i := range 50 {
		loads.Go(func() {
			if _, err := l.Load(t.Context(), fmt.Sprintf("p:%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	loads.Wait()
	if n := most.Load(); n > 2 {
		t.Errorf("%d connections, want at most 2", n)
	}
}

func TestAllConnectionsAreKept(t *testing.T) {
	const conns = 5
	var together sync.WaitGroup // so that each call needs its own connection
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		together.Done()
		together.Wait()
	}))
	opened := counted(s)
	start(t, s, (*httptest.Server).Start)
	l := newLoader(t, s.URL, Config{}, withConns(conns))
	for range 3 {
		together.Add(conns)
		var loads sync.WaitGroup
		for range conns {
			loads.Go(func() {
				if _, err := l.Load(t.Context(), "p:7"); err != nil {
					t.Error(err)
				}
			})
		}
		loads.Wait()
	}
	if n := opened.Load(); n != conns {
		t.Errorf("%d connections were opened, want %d", n, conns)
	}
}

func TestTransportFromOutside(t *testing.T) {
	var closed atomic.Bool
	transport := transportFunc(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("X-Added") != "" {
			t.Error("a transport changed the headers of later calls")
		}
		r.Header.Set("X-Added", "1") // which a RoundTripper must not do
		return &http.Response{StatusCode: 200, ContentLength: -1, Body: &body{Reader: strings.NewReader("value"), closed: &closed}}, nil
	})
	l := newLoader(t, "http://nowhere.invalid", Config{}, withTransport(transport))
	for range 2 {
		got, err := l.Load(t.Context(), "p:7")
		if err != nil || string(got) != "value" || !closed.Load() {
			t.Errorf("got %q, %v, body closed %v", got, err, closed.Load())
		}
	}
}

func TestEncodedValues(t *testing.T) {
	for sentence, c := range map[string]struct {
		accepts string
		want    loader.Reason // "": a value, stored as it came
	}{
		"asked for, is stored as it comes": {"br", ""},
		"not asked for, is refused":        {"", loader.BodyBroken},
		"declined, is refused":             {"identity", loader.BodyBroken},
	} {
		t.Run(sentence, func(t *testing.T) {
			var cfg Config
			if c.accepts != "" {
				cfg.Headers = []Header{{"Accept-Encoding", c.accepts}}
			}
			got, err := overHTTP1(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "br")
				_, _ = w.Write([]byte("encoded"))
			}, cfg).Load(t.Context(), "p:7")
			if c.want != "" {
				wantReason(t, err, c.want)
			} else if err != nil || string(got) != "encoded" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
