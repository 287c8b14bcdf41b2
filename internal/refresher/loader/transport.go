package loader

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Bounds on a loader's connections.
const (
	connectTimeout = 5 * time.Second
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

// newTransport returns the loader's own transport.
func newTransport(cfg HTTP, o options) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true) // with https only
	// A connection may come too late for the load that wanted it. It is made
	// nevertheless, for the next one, but not for longer than a load may take.
	connect := min(connectTimeout, cfg.Timeout)
	dialer := &net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        o.tls,
		TLSHandshakeTimeout:    connect,
		MaxConnsPerHost:        cfg.MaxConns,
		MaxIdleConnsPerHost:    cfg.MaxConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              &protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
}
