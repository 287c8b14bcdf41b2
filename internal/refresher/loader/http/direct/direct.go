// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package direct is an HTTP/1.1 client for the plain common case: one host, reached
// without TLS and without a proxy.
//
// What it costs: some 500 lines of our own that read what a server sends. What it saves:
// net/http's transport spends most of a small request on handing it from goroutine to
// goroutine, as two serve each connection; here the caller writes and reads by itself.
// BenchmarkClients compares it with net/http and fasthttp, and docs/design.md has its
// table. What it leaves to net/http: every answer whose head is not as plain as nearly
// all are (parseHead says which those are), so that http.ReadResponse says what it means.
// FuzzHead looks for a head that the two read differently. The operator's flag
// --http-client=net/http turns this package off.
//
//	┌─────────── idle ◄── all read, and nothing more ──┐
//	▼                                                  │
//	take ──none idle──► dial ──► write ──► read ───────┴─ anything else ──► closed
package direct

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// Config says how a Client connects. All fields are needed.
type Config struct {
	Dial           func(ctx context.Context) (net.Conn, error) // of TCP
	MaxConns       int                                         // in use at once; calls wait for one
	MaxAge         time.Duration                               // for which a connection takes new calls, give or take AgeJitter
	IdleTimeout    time.Duration                               // after which a connection that is not used is closed
	MaxHeaderBytes int64                                       // of an answer
}

// AgeJitter is the share of its greatest age by which a connection ends earlier or later,
// so that those made together do not end together.
const AgeJitter = 0.2

// Lifetime is how long one connection takes new calls.
func Lifetime(maxAge time.Duration) time.Duration {
	return time.Duration((1 + AgeJitter*(2*rand.Float64()-1)) * float64(maxAge))
}

// Span is the time that a call may take. It is no context, as the timer of one would
// cost more than all else that a call does here.
type Span struct {
	Ctx      context.Context
	Deadline time.Time
}

// Err returns why the time is over: context.Canceled or context.DeadlineExceeded,
// or nil while it is not.
func (s Span) Err() error {
	if err := s.Ctx.Err(); err != nil {
		return err
	}
	if !time.Now().Before(s.Deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Context returns a context for the span.
func (s Span) Context() (context.Context, context.CancelFunc) {
	return context.WithDeadline(s.Ctx, s.Deadline)
}

// Client calls one host. It is safe for concurrent use. Make one with New.
type Client struct {
	Config
	inUse chan struct{} // one for each connection that may be in use

	mu     sync.Mutex
	idle   []*conn // in the order in which they became idle; the first is used next, so all are
	reaper *time.Timer
	closed bool
}

// New returns a Client that has no connection yet.
func New(c Config) *Client { return &Client{Config: c, inUse: make(chan struct{}, c.MaxConns)} }

// Do sends a request and returns the answer up to its body. request appends the request
// as it is sent: it may be called again, for another connection, if the one that was
// idle turns out to be closed. The end of s ends the call, and the reading of the body.
// Answer.End must follow.
func (c *Client) Do(s Span, request func(b []byte) []byte) (*Answer, error) {
	if err := c.enter(s); err != nil {
		return nil, err
	}
	for {
		w, err := c.take(s)
		if err != nil {
			<-c.inUse
			return nil, err
		}
		a := &Answer{conn: w, client: c, span: s}
		if err = w.exchange(request, a); err == nil {
			return a, nil
		}
		w.close()
		// A server may close a connection that was idle just when it is used
		// again, which says nothing of the request.
		if stale := w.used && errors.Is(err, errNoAnswer); !stale || s.Err() != nil {
			<-c.inUse
			return nil, err
		}
	}
}

// enter waits until a connection may be used.
func (c *Client) enter(s Span) error {
	select {
	case c.inUse <- struct{}{}:
		return nil
	default:
	}
	ctx, cancel := s.Context()
	defer cancel()
	select {
	case c.inUse <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take returns a connection that is idle, or a new one.
func (c *Client) take(s Span) (*conn, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	for w := c.pop(); w != nil; w = c.pop() {
		if w.used = true; time.Now().Before(w.until) && w.in.Buffered() == 0 && w.SetDeadline(s.Deadline) == nil {
			return w, nil
		}
		w.close()
	}
	ctx, cancel := s.Context()
	defer cancel()
	made, err := c.Dial(ctx)
	if err != nil {
		return nil, err
	}
	w, err := newConn(made, Lifetime(c.MaxAge), c.MaxHeaderBytes)
	if err == nil {
		err = made.SetDeadline(s.Deadline)
	}
	if err != nil {
		_ = made.Close()
		return nil, err
	}
	return w, nil
}

func (c *Client) pop() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) == 0 {
		return nil
	}
	w := c.idle[0]
	c.idle = slices.Delete(c.idle, 0, 1)
	return w
}

// give takes back a connection after a call: to keep it, or to close it.
func (c *Client) give(w *conn, keep bool) {
	if keep {
		keep = c.push(w)
	}
	if !keep {
		w.close()
	}
	<-c.inUse
}

func (c *Client) push(w *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.since = time.Now()
	if c.closed || w.since.After(w.until) {
		return false
	}
	c.idle = append(c.idle, w)
	if c.reaper == nil {
		c.reaper = time.AfterFunc(c.IdleTimeout, c.reap)
	}
	return true
}

// reap closes connections that have been idle for long, and comes again for the others.
func (c *Client) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.idle) && time.Since(c.idle[n].since) >= c.IdleTimeout {
		c.idle[n].close()
		n++
	}
	c.idle = append(c.idle[:0:0], c.idle[n:]...)
	c.reaper = nil
	if len(c.idle) > 0 {
		c.reaper = time.AfterFunc(c.IdleTimeout-time.Since(c.idle[0].since), c.reap)
	}
}

// Close closes the connections that are idle, and those in use when their calls end.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, w := range c.idle {
		w.close()
	}
	c.idle = nil
	if c.reaper != nil {
		c.reaper.Stop()
	}
}
