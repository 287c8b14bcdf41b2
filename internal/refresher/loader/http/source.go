// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package http is the loader that asks by HTTP.
//
// A load is one GET of a URL that the key makes. 200 is a value, even with an
// empty body; 404 and 410 say that there is none; everything else is a failure
// with a Reason. A source with batches asks for many keys by one POST instead.
// docs/loader.md has the contract of both.
//
// # What it promises
//
// A server may be slow, broken or hostile: a load ends with its timeout or its
// context, holds at most MaxBodyBytes and some 64 KiB of headers, and leaves no
// goroutine behind. Sources share nothing but what their Environment shares, so that
// one does not harm another.
//
// Keys come from users: a key can neither change the host to which the headers
// are sent, nor leave its path segment or become another key's URL, unless the
// URL says {+name}, which passes reserved characters through; even then it cannot
// change the host nor climb with "..".
//
// Header values may be secrets. They are sent to the URL's host alone, redirects
// are not followed, and no error nor any way of printing shows them.
//
// Plain answers over plain connections are read by package direct; with
// Environment.NetHTTP, net/http's transport reads all.
package http

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/loader/http/direct"
)

// Source loads the values of one keyspace by HTTP. It is a loader.Source.
type Source struct {
	urls      *expander
	batch     string // what a batch asks for: path and query
	batchSize int    // 0 without batches
	timeout   time.Duration
	maxBody   int64 // in bytes
	room      *loader.Room
	send      sender
	// acceptsEncoded says that the headers ask for an encoding themselves, so that
	// a value is stored encoded, as it comes.
	acceptsEncoded bool
	unzips         bool // a gzipped answer was asked for, and is to be stored unzipped
	close          func()
}

// Open makes the source of the keys that match t.
func (c Config) Open(t *keyspace.Template, env loader.Environment) (loader.Source, error) {
	return open(t, c, env, options{})
}

func open(t *keyspace.Template, cfg Config, env loader.Environment, o options) (*Source, error) {
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
	accepts, given := acceptedEncoding(cfg)
	l := &Source{
		urls:           urls,
		batch:          batch,
		batchSize:      cfg.BatchSize,
		timeout:        cfg.Timeout,
		maxBody:        cfg.MaxBodyBytes,
		room:           env.Room,
		acceptsEncoded: accepts != "" && accepts != "identity",
		unzips:         !given,
	}
	l.send, l.close = newSender(urls.before, cfg, header, host, env, o)
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
func acceptedEncoding(cfg Config) (value string, given bool) {
	for _, h := range cfg.Headers {
		if http.CanonicalHeaderKey(h.Name) == "Accept-Encoding" {
			return strings.ToLower(strings.TrimSpace(h.Value)), true
		}
	}
	return "", false
}

// makeHeader returns what every request carries, and the Host header apart, as
// net/http wants it.
func makeHeader(cfg Config) (header http.Header, host string, err error) {
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

// String names the source by its URL's scheme and host.
func (l *Source) String() string { return l.urls.scheme + "://" + l.urls.host }

// Close closes the connections that are idle, and lets those in use be closed when
// their calls end.
func (l *Source) Close() { l.close() }

// BatchSize returns how many keys a call may be for: 1 for a source that calls for each
// key.
func (l *Source) BatchSize() int { return max(1, l.batchSize) }

// Describe tells the method and the URL of a load.
func (l *Source) Describe(key string) loader.Request {
	if l.batchSize > 0 {
		r := loader.Request{Method: http.MethodPost, Address: l.urls.before + l.batch}
		if invalid := l.checkKey(key); invalid != nil {
			r.Problem = invalid.Error()
		}
		return r
	}
	target, invalid := l.urls.target(key)
	if invalid != nil {
		return loader.Request{Method: http.MethodGet, Problem: invalid.Error()}
	}
	return loader.Request{Method: http.MethodGet, Address: l.urls.before + target}
}

// Load loads keys: by one POST for all of them, or by one GET for each.
func (l *Source) Load(ctx context.Context, keys []string) []loader.Result {
	results := make([]loader.Result, len(keys))
	if l.batchSize > 0 {
		l.loadBatch(ctx, keys, results)
		return results
	}
	for i, key := range keys {
		target, invalid := l.urls.target(key)
		if invalid != nil {
			results[i].Err = invalid
			continue
		}
		results[i].Value, results[i].Hold, results[i].Err = l.exchange(ctx, target, nil)
	}
	return results
}

// exchange sends a request and returns the body of the answer, and what that takes of the
// room.
func (l *Source) exchange(ctx context.Context, target string, question []byte) ([]byte, *loader.Hold, *loader.Error) {
	value, hold, failure := l.call(direct.Span{Ctx: ctx, Deadline: time.Now().Add(l.timeout)}, target, question)
	if failure != nil {
		hold.Release()
		failure.MayBeOneKey = mayBeOneKey(failure)
		return nil, nil, failure
	}
	return value, hold, nil
}

func (l *Source) call(s direct.Span, target string, question []byte) ([]byte, *loader.Hold, *loader.Error) {
	r, err := l.send(s, target, question)
	if err != nil {
		return nil, nil, l.notAnswered(s, err)
	}
	if failure := l.checkAnswer(r, time.Now()); failure != nil {
		drain(r)
		r.End(false)
		return nil, nil, failure
	}
	value, hold, failure := l.read(s, r)
	r.End(failure != nil)
	return value, hold, failure
}

// mayBeOneKey says that a call for many keys may have failed because of one of them.
func mayBeOneKey(e *loader.Error) bool {
	switch e.Reason {
	case loader.Timeout, loader.BodyTooLarge, loader.BodyBroken:
		return true
	case loader.UnexpectedStatus:
		switch e.Status {
		case http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity,
			http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
			return true
		}
	}
	return false
}
