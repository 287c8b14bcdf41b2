// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package loader loads the values of one keyspace by HTTP.
//
// A load is one GET of a URL that the key makes. 200 is a value, even with an
// empty body; 404 and 410 say that there is none; everything else is a failure
// with a Reason. A loader with batches is asked for many keys by one POST instead.
// docs/loader.md has the contract of both.
//
// # What it promises
//
// A loader may be slow, broken or hostile: a load ends with its timeout or its
// context, holds at most MaxBodyBytes and some 64 KiB of headers, and leaves no
// goroutine behind. Loaders share nothing, so that one does not harm another.
//
// Keys come from users: a key can neither change the host to which the headers
// are sent, nor leave its path segment or become another key's URL, unless the
// URL says {+name}, which passes reserved characters through; even then it cannot
// change the host nor climb with "..".
//
// Header values may be secrets. They are sent to the URL's host alone, redirects
// are not followed, and no error nor any way of printing shows them.
package loader

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
)

// Loader loads the values of one keyspace. It is safe for concurrent use.
type Loader struct {
	urls      *expander
	batch     string // what a batch is asked for at: path and query
	batchSize int    // 0 without batches
	timeout   time.Duration
	maxBody   int64
	room      *Room
	send      sender
	// acceptsEncoded says that the headers ask for an encoding themselves, so that
	// a value is stored encoded, as it comes.
	acceptsEncoded bool
	unzips         bool // a gzipped answer was asked for, and is not to be stored as it is
	close          func()
}

// NewHTTP returns the loader of the keys that match t. Its errors say what to
// change in cfg, and hold no header value.
func NewHTTP(t *keyspace.Template, cfg HTTP, opts ...Option) (*Loader, error) {
	cfg = cfg.withDefaults()
	urls, err := newExpander(t, cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("loader URL %w", err)
	}
	var batch string
	if cfg.BatchSize > 0 {
		if batch, err = urls.fixed(); err != nil {
			return nil, fmt.Errorf("loader URL %w", err)
		}
	}
	header, host, err := makeHeader(cfg)
	if err != nil {
		return nil, fmt.Errorf("loader %w", err)
	}
	if host == "" {
		host = withoutDot(urls.host)
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	accepts, given := acceptedEncoding(cfg)
	l := &Loader{
		urls:           urls,
		batch:          batch,
		batchSize:      cfg.BatchSize,
		timeout:        cfg.Timeout,
		maxBody:        cfg.MaxBodyBytes,
		room:           o.room,
		acceptsEncoded: accepts != "" && accepts != "identity",
		unzips:         !given,
	}
	l.send, l.close = newSender(urls.before, cfg, header, host, o)
	return l, nil
}

// withoutDot is a host, and its port if it has one, without the dot that ends a name
// which is not to be searched for: DNS alone sees it (RFC 9110, 7.2, has none).
func withoutDot(host string) string {
	name, port, hasPort := strings.Cut(host, ".:")
	if hasPort {
		return name + ":" + port
	}
	return strings.TrimSuffix(host, ".")
}

// acceptedEncoding is what a policy's own Accept-Encoding says, if it has one.
func acceptedEncoding(cfg HTTP) (value string, given bool) {
	for _, h := range cfg.Headers {
		if http.CanonicalHeaderKey(h.Name) == "Accept-Encoding" {
			return strings.ToLower(strings.TrimSpace(h.Value)), true
		}
	}
	return "", false
}

// makeHeader returns what every request carries, and the Host header apart, as
// net/http wants it.
func makeHeader(cfg HTTP) (header http.Header, host string, err error) {
	header = make(http.Header, len(cfg.Headers)+4)
	for _, h := range cfg.Headers {
		name := http.CanonicalHeaderKey(h.Name)
		if err := h.check(name); err != nil {
			return nil, "", err
		}
		if name == "Host" {
			host = h.Value
		} else {
			header.Add(name, h.Value)
		}
	}
	own := map[string][]string{"User-Agent": {"keepfresh"}, "Accept-Encoding": {"gzip"}}
	if cfg.BatchSize > 0 {
		own["Content-Type"] = []string{"application/json"}
		own["Accept"] = []string{"application/json"}
		// A batch is read only: net/http may send it again on a new connection if
		// the old one turns out to have ended. Empty, this header is not sent.
		own["Idempotency-Key"] = []string{}
	}
	for name, value := range own {
		if _, given := header[name]; !given {
			header[name] = value
		}
	}
	return header, host, nil
}

// String names the loader by its URL's scheme and host.
func (l *Loader) String() string { return l.urls.scheme + "://" + l.urls.host }

// Host returns the host, and the port if the URL has one, that is called.
func (l *Loader) Host() string { return l.urls.host }

// Close closes the connections that are idle, and lets those in use be closed when
// their calls end. The transport of WithTransport is left alone.
func (l *Loader) Close() { l.close() }

// LoadOne loads a key, by a call of its own. The value is the caller's.
func (l *Loader) LoadOne(ctx context.Context, key string) Result {
	if l.batchSize > 0 {
		return l.LoadMany(ctx, []string{key}, nil)[0]
	}
	target, invalid := l.urls.target(key)
	if invalid != nil {
		return Result{Err: invalid}
	}
	value, hold, failure := l.exchange(ctx, target, nil)
	return Result{value, failure, hold}
}

// exchange sends a request and returns the body of the answer, and what that takes of the
// room.
func (l *Loader) exchange(ctx context.Context, target string, question []byte) ([]byte, *Hold, *Error) {
	span := span{ctx, time.Now().Add(l.timeout)}
	r, err := l.send(span, target, question)
	if err != nil {
		return nil, nil, l.notAnswered(span, err)
	}
	if failure := l.judge(r, time.Now()); failure != nil {
		drain(r)
		r.end(false)
		return nil, nil, failure
	}
	value, hold, failure := l.read(span, r)
	r.end(failure != nil)
	if failure != nil {
		hold.Release()
		return nil, nil, failure
	}
	return value, hold, nil
}

// span is for how long a call may take. It is no context, as the timer of one
// would cost more than all else that a call does here.
type span struct {
	ctx      context.Context
	deadline time.Time
}

// Err returns why the time is over: context.Canceled or context.DeadlineExceeded,
// or nil while it is not.
func (s span) Err() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if !time.Now().Before(s.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// context returns a context for the span.
func (s span) context() (context.Context, context.CancelFunc) {
	return context.WithDeadline(s.ctx, s.deadline)
}
