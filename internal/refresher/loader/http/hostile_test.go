// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// body counts what is read of it.
type body struct {
	io.Reader
	read   atomic.Int64
	closed *atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read.Add(int64(n))
	return n, err
}

func (b *body) Close() error { b.closed.Store(true); return nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBodyIsReadToTheLimitOnly(t *testing.T) {
	for sentence, announced := range map[string]int64{
		"no length announced":         -1,
		"a shorter length announced":  10,
		"exactly the limit announced": 1000,
		"a larger length announced":   1001,
		"a monstrous length":          1 << 60,
	} {
		t.Run(sentence, func(t *testing.T) {
			endless := &body{Reader: zeros{}, closed: new(atomic.Bool)}
			l := newLoader(t, "http://h", Config{MaxBodyBytes: 1000}, withTransport(transportFunc(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, ContentLength: announced, Body: endless}, nil
			})))
			_, err := l.Load(t.Context(), "p:7")
			wantReason(t, err, loader.BodyTooLarge)
			if n := endless.read.Load(); n > 1001 || !endless.closed.Load() {
				t.Errorf("read %d bytes, closed %v", n, endless.closed.Load())
			}
		})
	}
}

func TestLargeBodyEndsTheConnection(t *testing.T) {
	for protocol, run := range map[string]func(testing.TB, http.HandlerFunc, Config) *tested{"HTTP/1.1": overHTTP1, "HTTP/2": overHTTP2} {
		for sentence, encoding := range map[string]string{"plain": "", "a compressed bomb": "gzip"} {
			t.Run(sentence+" by "+protocol, func(t *testing.T) {
				part := bytes.Repeat([]byte("x"), 1<<20)
				if encoding != "" {
					part = zip(make([]byte, 4<<20)) // members of a gzip file may follow each other
				}
				done := make(chan struct{})
				l := run(t, func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					w.Header().Set("Content-Encoding", encoding)
					for r.Context().Err() == nil {
						if _, err := w.Write(part); err != nil {
							return
						}
					}
				}, Config{})
				_, err := l.Load(t.Context(), "p:7")
				wantReason(t, err, loader.BodyTooLarge)
				<-done // the server noticed
			})
		}
	}
}

// stall answers with what it is given, and then with nothing more until the
// client goes. It tells begun before.
func stall(begun chan<- struct{}, header http.Header, status int, bytes string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if bytes != "" {
			for name := range header {
				w.Header().Set(name, header.Get(name))
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, bytes)
			w.(http.Flusher).Flush()
		}
		begun <- struct{}{}
		<-r.Context().Done()
	}
}

func TestSlowLoader(t *testing.T) {
	zipped := string(zip([]byte(strings.Repeat("abc", 1000))))
	handlers := map[string]struct {
		header http.Header
		bytes  string
	}{
		"no headers":               {nil, ""},
		"no end of the body":       {nil, "begin"},
		"no rest of the length":    {http.Header{"Content-Length": {"10"}}, "begin"},
		"no rest of a compression": {http.Header{"Content-Encoding": {"gzip"}}, zipped[:len(zipped)-9]},
	}
	ends := map[string]struct {
		cfg  Config
		ctx  func(context.Context, <-chan struct{}) (context.Context, context.CancelFunc)
		want loader.Reason
		is   error
	}{
		"until the timeout": {Config{Timeout: haste}, func(ctx context.Context, _ <-chan struct{}) (context.Context, context.CancelFunc) {
			return ctx, func() {}
		}, loader.Timeout, context.DeadlineExceeded},
		"until the context's deadline": {Config{}, func(ctx context.Context, _ <-chan struct{}) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, haste)
		}, loader.Timeout, context.DeadlineExceeded},
		"until the context is cancelled": {Config{}, func(ctx context.Context, begun <-chan struct{}) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			go func() {
				<-begun
				cancel(errors.New("the guard is lost"))
			}()
			return ctx, func() { cancel(nil) }
		}, loader.Canceled, context.Canceled},
	}
	for what, h := range handlers {
		for until, end := range ends {
			for protocol, run := range map[string]func(testing.TB, http.HandlerFunc, Config) *tested{"HTTP/1.1": overHTTP1, "HTTP/2": overHTTP2} {
				t.Run(what+" "+until+" by "+protocol, func(t *testing.T) {
					t.Parallel()
					begun := make(chan struct{}, 1)
					l := run(t, stall(begun, h.header, 200, h.bytes), end.cfg)
					ctx, cancel := end.ctx(t.Context(), begun)
					defer cancel()
					_, err := l.Load(ctx, "p:7")
					if wantReason(t, err, end.want); !errors.Is(err, end.is) {
						t.Errorf("%v is not %v", err, end.is)
					}
				})
			}
		}
	}
}

func TestNothingIsSentWhenTheContextIsDone(t *testing.T) {
	l := overHTTP1(t, func(http.ResponseWriter, *http.Request) { t.Error("called") }, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Load(ctx, "p:7")
	wantReason(t, err, loader.Canceled)
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, err = l.Load(ctx, "p:7")
	wantReason(t, err, loader.Timeout)
}

func TestCompressedNothingWithoutEnd(t *testing.T) {
	l := overHTTP1(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(zip(nil)[:10])                               // the header
		nothing := bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 10000) // stored blocks of length 0
		for {
			if _, err := w.Write(nothing); err != nil {
				return
			}
		}
	}, Config{Timeout: haste})
	_, err := l.Load(t.Context(), "p:7")
	wantReason(t, err, loader.Timeout)
}

// A missing value is known from the first line. That the rest does not come may
// cost the connection, and hardly any time.
func TestFailureDoesNotWaitForItsBody(t *testing.T) {
	for _, status := range []int{404, 302, 500} {
		l := overHTTP1(t, stall(make(chan struct{}, 1), http.Header{"Location": {"/"}}, status, "begin"), Config{})
		before := time.Now()
		_, err := l.Load(t.Context(), "p:7")
		if e := asError(t, err); e.Status != status || time.Since(before) > patience/4 {
			t.Errorf("got %v after %s", err, time.Since(before))
		}
	}
}

// A connection that has switched protocols is no longer ended by the context, so
// nothing may be read from it.
func TestSwitchedConnectionIsNotRead(t *testing.T) {
	ended := make(chan struct{})
	l := overHTTP1(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(ended)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = conn.Read(make([]byte, 1)) // until the loader closes it
	}, Config{})
	_, err := l.Load(t.Context(), "p:7")
	wantReason(t, err, loader.UnexpectedStatus)
	<-ended
}

func TestBrokenAnswers(t *testing.T) {
	zipped := string(zip([]byte(strings.Repeat("abc", 1000))))
	const ok = "HTTP/1.1 200 OK\r\n"
	for sentence, c := range map[string]struct {
		answer string
		want   loader.Reason
	}{
		"a body shorter than its length":     {ok + "Content-Length: 10\r\n\r\nshort", loader.BodyBroken},
		"chunks without an end":              {ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", loader.BodyBroken},
		"a chunk that is cut":                {ok + "Transfer-Encoding: chunked\r\n\r\n50\r\nshort", loader.BodyBroken},
		"a chunk of nonsense":                {ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nshort", loader.BodyBroken},
		"a compressed body that is cut":      {ok + "Content-Encoding: gzip\r\n\r\n" + zipped[:len(zipped)/2], loader.BodyBroken},
		"a compressed body without its end":  {ok + "Content-Encoding: gzip\r\n\r\n" + zipped[:len(zipped)-1], loader.BodyBroken},
		"a compressed body that is not":      {ok + "Content-Encoding: gzip\r\n\r\nplain", loader.BodyBroken},
		"a compression nobody asked for":     {ok + "Content-Encoding: br\r\n\r\nwhatever", loader.BodyBroken},
		"no answer":                          {"", loader.ConnectionFailed},
		"half a line":                        {"HTTP/1.1 2", loader.ConnectionFailed},
		"another protocol":                   {"220 mail.example ESMTP\r\n\r\n", loader.ConnectionFailed},
		"headers cut":                        {ok + "Content-Le", loader.ConnectionFailed},
		"headers of nonsense":                {ok + "\x00\x01\x02\r\n\r\n", loader.ConnectionFailed},
		"two lengths":                        {ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", loader.ConnectionFailed},
		"a negative length":                  {ok + "Content-Length: -1\r\n\r\nab", loader.ConnectionFailed},
		"a header of 200 KiB":                {ok + "X: " + strings.Repeat("s3cret", 200<<10/6) + "\r\n\r\n", loader.ConnectionFailed},
		"many headers of 200 KiB":            {ok + strings.Repeat("X-Y: s3cret\r\n", 200<<10/13) + "\r\n", loader.ConnectionFailed},
		"hints without end":                  {strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("y", 1000)+"\r\n\r\n", 1000), loader.ConnectionFailed},
		"a switch of protocols nobody asked": {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", loader.UnexpectedStatus},
		"a status line with a secret":        {"HTTP/1.1 500 s3cret\r\nContent-Length: 6\r\n\r\ns3cret", loader.UnexpectedStatus},
		"a status that is not three digits":  {"HTTP/1.1 20 s3cret\r\n\r\n", loader.ConnectionFailed},
		"a status of 000":                    {"HTTP/1.1 000 s3cret\r\n\r\n", loader.UnexpectedStatus},
	} {
		t.Run(sentence, func(t *testing.T) {
			l := newLoader(t, answer(t, c.answer), Config{})
			_, err := l.Load(t.Context(), "p:7")
			wantReason(t, err, c.want)
			if text := err.Error(); strings.Contains(text, "s3cret") || !strings.Contains(text, l.Host()) {
				t.Errorf("message %q", text)
			}
		})
	}
}

func TestHugeHeadersByHTTP2(t *testing.T) {
	l := overHTTP2(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 200 {
			w.Header().Add("X", strings.Repeat("y", 1000))
		}
	}, Config{})
	_, err := l.Load(t.Context(), "p:7")
	wantReason(t, err, loader.ConnectionFailed)
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	_ = listener.Close()
	_, err = newLoader(t, base, Config{}).Load(t.Context(), "p:7")
	wantReason(t, err, loader.ConnectionFailed)
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestTLS(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	start(t, secure, (*httptest.Server).StartTLS)
	trust := secure.Client().Transport.(*http.Transport).TLSClientConfig
	demanding := httptest.NewUnstartedServer(secure.Config.Handler)
	demanding.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	start(t, demanding, (*httptest.Server).StartTLS)
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	later := trust.Clone()
	later.Time = func() time.Time { return time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC) }
	old := trust.Clone()
	old.MaxVersion = tls.VersionTLS11
	for sentence, c := range map[string]struct {
		base string
		tls  *tls.Config
		says string // "": works
	}{
		"a certificate that is trusted":     {secure.URL, trust, ""},
		"a certificate of nobody":           {secure.URL, &tls.Config{}, "unknown authority"},
		"a certificate for another name":    {strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), trust, "another name"},
		"a certificate that has expired":    {secure.URL, later, "expired"},
		"no version in common":              {secure.URL, old, "TLS handshake"},
		"a server that wants a certificate": {demanding.URL, trust, "TLS handshake"},
		"a server that speaks plain HTTP":   {strings.Replace(plain.URL, "http:", "https:", 1), trust, "without TLS"},
		"a server that speaks something":    {strings.Replace(answer(t, strings.Repeat("s3cret", 100)), "http:", "https:", 1), trust, "not speak TLS"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := newLoader(t, c.base, Config{}, withTLS(c.tls)).Load(t.Context(), "p:7")
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantReason(t, err, loader.TLSFailed)
			if e := asError(t, err); !strings.Contains(e.Message, c.says) {
				t.Errorf("message %q, want %q", e.Message, c.says)
			}
		})
	}
}

// TestNothingIsLeftBehind looks right after the load, not only at the end of all
// tests, and with loads that end in the middle of everything.
func TestNothingIsLeftBehind(t *testing.T) {
	for _, bytes := range []string{"", "begin"} {
		begun := make(chan struct{}, 1)
		s := httptest.NewServer(stall(begun, nil, 200, bytes))
		before := goleak.IgnoreCurrent()
		l := newLoader(t, s.URL, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-begun
			cancel()
		}()
		_, err := l.Load(ctx, "p:7")
		wantReason(t, err, loader.Canceled)
		l.Close()
		s.Close() // waits for the server's side
		goleak.VerifyNone(t, before)
	}
}
