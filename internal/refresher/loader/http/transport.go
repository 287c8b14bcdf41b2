// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/loader/http/direct"
)

// Bounds on a loader's connections.
const (
	connectTimeout = 5 * time.Second
	keepAlive      = 30 * time.Second
	idleTimeout    = 90 * time.Second
	maxHeaderBytes = 64 << 10
	// An HTTP/2 connection is shared by all calls. Without pings, one that
	// went dead silently would fail them until the kernel gives up, after a
	// quarter of an hour.
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
)

// options are for tests. The zero options are those of production.
type options struct {
	transport http.RoundTripper // in place of one of its own; Close leaves it alone
	tls       *tls.Config
	maxAge    time.Duration // maxConnAge if zero
	resolver  *net.Resolver
}

// sender sends one request for a path and query, a POST if it has a body. It is a closure, so that
// nothing that prints a Source, by reflection or otherwise, reaches the headers.
type sender func(s direct.Span, target string, body []byte) (*reply, error)

// newSender returns what calls the server, and what closes its connections.
func newSender(origin string, cfg Config, header http.Header, host string, env loader.Environment, o options) (send sender, closeIdle func()) {
	base, err := url.Parse(origin)
	own := err == nil && o.transport == nil
	byProxy := own && proxied(base)
	if own && !byProxy && !env.NetHTTP && direct.Supported && base.Scheme == "http" {
		return sendDirect(base, cfg, header, host, env, o)
	}
	var asked *egress.Rules
	if byProxy { // which is the operator's own choice; what it is asked for is not
		asked, env.Egress = env.Egress, nil
	}
	return sendByNetHTTP(origin, cfg, header, host, asked, env, o)
}

// sendDirect returns a sender that calls through a direct.Client.
func sendDirect(base *url.URL, cfg Config, header http.Header, host string, env loader.Environment, o options) (send sender, closeIdle func()) {
	address := address(base)
	dialer := newDialer(cfg, env, o)
	client := direct.New(direct.Config{
		Dial:     func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", address) },
		MaxConns: maxConns(env), MaxAge: cmp.Or(o.maxAge, maxConnAge), IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	})
	if host == "" {
		host = base.Host
	}
	var head bytes.Buffer
	head.WriteString(" HTTP/1.1\r\nHost: " + host + "\r\n")
	_ = header.Write(&head)
	fixed := head.Bytes()
	return func(s direct.Span, target string, body []byte) (*reply, error) {
		a, err := client.Do(s, func(b []byte) []byte {
			if body == nil {
				b = append(append(b, "GET "...), target...)
				return append(append(b, fixed...), "\r\n"...)
			}
			b = append(append(b, "POST "...), target...)
			b = append(append(b, fixed...), "Content-Length: "...)
			b = strconv.AppendInt(b, int64(len(body)), 10)
			return append(append(b, "\r\n\r\n"...), body...)
		})
		if err != nil {
			return nil, err
		}
		return &reply{status: a.Status, header: a.Header, length: a.Length, body: a, call: a, misframed: a.Misframed}, nil
	}, client.Close
}

// address is the host and port that a URL leads to.
func address(u *url.URL) string { return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80")) }

// maxConns is how many connections a source may have in use at once.
func maxConns(env loader.Environment) int { return cmp.Or(env.MaxConcurrent, defaultMaxConns) }

// defaultMaxConns is how many that are where the environment does not say.
const defaultMaxConns = 6

// sendByNetHTTP returns a sender that calls through a transport of net/http, or the one
// of the options. asked judges what a proxy is asked for.
func sendByNetHTTP(origin string, cfg Config, header http.Header, host string, asked *egress.Rules, env loader.Environment, o options) (send sender, closeIdle func()) {
	shared, closeIdle := o.transport == nil, func() {} // net/http's own transport leaves a request as it is
	if shared {
		g := &generations{make: func() *http.Transport { return newTransport(cfg, env, o) }, age: cmp.Or(o.maxAge, maxConnAge), call: cfg.Timeout}
		o.transport, closeIdle = g, g.closeIdle
	}
	blank := &http.Request{Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: host}
	return func(s direct.Span, path string, body []byte) (*reply, error) {
		u, err := url.Parse(origin + path)
		if err != nil {
			return nil, err
		}
		ctx, cancel := s.Context()
		if err := asked.CheckHost(ctx, u.Hostname(), o.resolver); err != nil {
			cancel()
			return nil, err
		}
		r := blank.WithContext(ctx)
		r.URL = u
		if r.Header = header; !shared {
			r.Header = header.Clone()
		}
		if body != nil {
			r.Method, r.ContentLength = http.MethodPost, int64(len(body))
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
			r.Body, _ = r.GetBody()
		}
		response, err := o.transport.RoundTrip(r) //nolint:bodyclose // transportCall.End closes it
		if err != nil {
			cancel()
			return nil, err
		}
		return &reply{
			status: response.StatusCode, header: response.Header, length: response.ContentLength, body: response.Body,
			mayBeChunked: response.ProtoMajor == 1 && response.ProtoMinor == 0,
			call:         &transportCall{body: response.Body, cancel: cancel},
		}, nil
	}, closeIdle
}

// proxied says whether the environment names a proxy for a URL. A setting that
// cannot be read is net/http's to complain of.
func proxied(u *url.URL) bool {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	return proxy != nil || err != nil
}

// newTransport returns a source's own transport.
func newTransport(cfg Config, env loader.Environment, o options) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true) // with https only
	// A connection may come too late for the load that wanted it. It is made
	// nevertheless, for the next one, but not for longer than a load may take.
	dialer := newDialer(cfg, env, o)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        o.tls,
		TLSHandshakeTimeout:    dialer.Timeout,
		MaxConnsPerHost:        maxConns(env),
		MaxIdleConnsPerHost:    maxConns(env),
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // Source.decode does it
		Protocols:              &protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
}
