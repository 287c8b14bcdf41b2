// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/keepfresh/keepfresh/internal/egress"
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

// Option changes how a Loader calls.
type Option func(*options)

type options struct {
	transport http.RoundTripper
	tls       *tls.Config
	egress    *egress.Rules
	room      *Room

	// For tests.
	netHTTP  bool // where direct would do
	maxAge   time.Duration
	resolver *net.Resolver
}

// WithTransport has the loader call through rt instead of a transport of its
// own. The limits on connections and headers are then up to rt; it is not closed
// by Close.
func WithTransport(rt http.RoundTripper) Option {
	return func(o *options) { o.transport = rt }
}

// WithTLSConfig sets how servers are verified, and with which certificate the
// loader presents itself. It has no effect together with WithTransport.
func WithTLSConfig(c *tls.Config) Option {
	return func(o *options) { o.tls = c.Clone() }
}

// WithEgress has each address judged that the loader connects to, or has a proxy connect
// to. It has no effect together with WithTransport.
func WithEgress(rules *egress.Rules) Option {
	return func(o *options) { o.egress = rules }
}

// sender sends one request for a path and query, a POST if it has a body. It is a closure, so that
// nothing that prints a Loader, by reflection or otherwise, reaches the headers.
type sender func(s span, target string, body []byte) (*reply, error)

// newSender returns what calls the loader, and what closes its connections.
func newSender(origin string, cfg HTTP, header http.Header, host string, o options) (send sender, closeIdle func()) {
	base, err := url.Parse(origin)
	own := err == nil && o.transport == nil
	byProxy := own && proxied(base)
	if own && !byProxy && !o.netHTTP && canPeek && base.Scheme == "http" {
		return sendDirect(base, cfg, header, host, o)
	}
	var asked *egress.Rules
	if byProxy { // which is the operator's own choice; what it is asked for is not
		asked, o.egress = o.egress, nil
	}
	return sendByNetHTTP(origin, cfg, header, host, asked, o)
}

// sendByNetHTTP returns a sender that calls through a transport of net/http, or the one
// of WithTransport. asked judges what a proxy is asked for.
func sendByNetHTTP(origin string, cfg HTTP, header http.Header, host string, asked *egress.Rules, o options) (send sender, closeIdle func()) {
	shared, closeIdle := o.transport == nil, func() {} // net/http's own transport leaves a request as it is
	if shared {
		g := &generations{make: func() *http.Transport { return newTransport(cfg, o) }, age: cmp.Or(o.maxAge, maxConnAge), call: cfg.Timeout}
		o.transport, closeIdle = g, g.closeIdle
	}
	blank := &http.Request{Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: host}
	return func(s span, path string, body []byte) (*reply, error) {
		u, err := url.Parse(origin + path)
		if err != nil {
			return nil, err
		}
		ctx, cancel := s.context()
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
		response, err := o.transport.RoundTrip(r) //nolint:bodyclose // transportCall.end closes it
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

// newTransport returns the loader's own transport.
func newTransport(cfg HTTP, o options) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true) // with https only
	// A connection may come too late for the load that wanted it. It is made
	// nevertheless, for the next one, but not for longer than a load may take.
	dialer := newDialer(cfg, o)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        o.tls,
		TLSHandshakeTimeout:    dialer.Timeout,
		MaxConnsPerHost:        cfg.MaxConns,
		MaxIdleConnsPerHost:    cfg.MaxConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // Loader.decode does it
		Protocols:              &protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
}
