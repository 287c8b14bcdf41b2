// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"cmp"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// direct is an HTTP/1.1 client for the plain common case: one host, reached
// without TLS and without a proxy.
//
// It exists because net/http's transport spends most of a small request on
// handing it from goroutine to goroutine: two serve each connection. Here the
// caller writes and reads by itself, so that a load takes half of the CPU. What
// an answer means is still for net/http to say: http.ReadResponse reads it.
//
//	┌─────────── idle ◄── quiet, whole answer ──┐
//	▼                                           │
//	take ──none idle──► dial ──► write ──► read ┴─ anything else ──► closed
type direct struct {
	host  string // with its port
	dial  *dialer
	age   time.Duration // of a connection, at most
	slots chan struct{} // one for each connection that may be in use

	mu     sync.Mutex
	idle   []*wire // the one used last is the last, and the first is used next: so all are
	reaper *time.Timer
	closed bool
}

func newDirect(u *url.URL, cfg HTTP, o options) *direct {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return &direct{
		host:  net.JoinHostPort(u.Hostname(), port),
		dial:  newDialer(cfg, o),
		age:   cmp.Or(o.maxAge, maxConnAge),
		slots: make(chan struct{}, cfg.MaxConns),
	}
}

// sendDirect returns a sender that calls through a direct.
func sendDirect(base *url.URL, cfg HTTP, header http.Header, host string, o options) (send sender, closeIdle func()) {
	d := newDirect(base, cfg, o)
	if host == "" {
		host = base.Host
	}
	var head bytes.Buffer
	head.WriteString(" HTTP/1.1\r\nHost: " + host + "\r\n")
	_ = header.Write(&head)
	fixed := head.Bytes()
	return func(s span, target string, body []byte) (*reply, error) {
		return d.do(s, func(b []byte) []byte {
			if body == nil {
				b = append(append(b, "GET "...), target...)
				return append(append(b, fixed...), "\r\n"...)
			}
			b = append(append(b, "POST "...), target...)
			b = append(append(b, fixed...), "Content-Length: "...)
			b = strconv.AppendInt(b, int64(len(body)), 10)
			return append(append(b, "\r\n\r\n"...), body...)
		})
	}, d.close
}

// do sends a request and returns the answer. The end of s ends the call, and the
// reading of the body.
func (d *direct) do(s span, request func(b []byte) []byte) (*reply, error) {
	if err := d.enter(s); err != nil {
		return nil, err
	}
	for {
		w, err := d.take(s)
		if err != nil {
			<-d.slots
			return nil, err
		}
		c := &directCall{wire: w, pool: d, span: s}
		if err = w.exchange(request, c); err == nil {
			c.body, c.call = c, c
			return &c.reply, nil
		}
		w.close()
		// A server may close a connection that was idle just when it is used
		// again, which says nothing of the request.
		if stale := w.used && errors.Is(err, errNoAnswer); !stale || s.Err() != nil {
			<-d.slots
			return nil, err
		}
	}
}

// enter waits for a slot.
func (d *direct) enter(s span) error {
	select {
	case d.slots <- struct{}{}:
		return nil
	default:
	}
	ctx, cancel := s.context()
	defer cancel()
	select {
	case d.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take returns a connection that is idle, or a new one.
func (d *direct) take(s span) (*wire, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	for w := d.pop(); w != nil; w = d.pop() {
		if w.used = true; time.Now().Before(w.until) && w.in.Buffered() == 0 && w.conn.SetDeadline(s.deadline) == nil {
			return w, nil
		}
		w.close()
	}
	ctx, cancel := s.context()
	defer cancel()
	conn, err := d.dial.DialContext(ctx, "tcp", d.host)
	if err != nil {
		return nil, err
	}
	w, err := newWire(conn, lifetime(d.age))
	if err == nil {
		err = conn.SetDeadline(s.deadline)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return w, nil
}

func (d *direct) pop() *wire {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle) == 0 {
		return nil
	}
	w := d.idle[0]
	d.idle = slices.Delete(d.idle, 0, 1)
	return w
}

// give takes back a connection after a call: to keep it, or to close it.
func (d *direct) give(w *wire, keep bool) {
	if keep {
		keep = d.push(w)
	}
	if !keep {
		w.close()
	}
	<-d.slots
}

func (d *direct) push(w *wire) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	w.since = time.Now()
	if d.closed || w.since.After(w.until) {
		return false
	}
	d.idle = append(d.idle, w)
	if d.reaper == nil {
		d.reaper = time.AfterFunc(idleTimeout, d.reap)
	}
	return true
}

// reap closes what has been idle for long, and comes again if there is more.
func (d *direct) reap() {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0 // they lie in the order in which they became idle
	for n < len(d.idle) && time.Since(d.idle[n].since) >= idleTimeout {
		d.idle[n].close()
		n++
	}
	d.idle = append(d.idle[:0:0], d.idle[n:]...)
	d.reaper = nil
	if len(d.idle) > 0 {
		d.reaper = time.AfterFunc(idleTimeout-time.Since(d.idle[0].since), d.reap)
	}
}

// close closes what is idle, and what is in use when its call ends.
func (d *direct) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, w := range d.idle {
		w.close()
	}
	d.idle = nil
	if d.reaper != nil {
		d.reaper.Stop()
	}
}
