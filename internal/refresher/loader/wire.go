// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"syscall"
	"time"
)

// errNoAnswer is in the error of a call to which not a byte was answered.
var errNoAnswer = errors.New("no answer")

// errStale is that of a connection that was idle and cannot be used any more.
var errStale = fmt.Errorf("the connection was closed: %w", errNoAnswer)

// maxKeptBytes is how much room for requests a connection keeps.
const maxKeptBytes = 16 << 10

var errLongHeaders = errors.New("the answer's headers are too long")

// wire is a connection of direct.
type wire struct {
	conn  net.Conn
	raw   syscall.RawConn
	in    *bufio.Reader
	out   []byte      // the request, kept for its room
	left  int64       // how much may still be read: headers are bounded
	since time.Time   // that it is idle
	until time.Time   // that it takes calls
	used  bool        // it served a call before
	cut   func()      // ends the call
	free  func() bool // ends the hold of the call's context, and says whether it was not yet used

	turn  func(fd uintptr) bool // made once, as it would be allocated for each call
	asked bool                  // by it
	sent  int                   // of out; less than nothing if the connection is not what it was
}

func newWire(conn net.Conn, life time.Duration) (*wire, error) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &wire{conn: conn, raw: raw, until: time.Now().Add(life)}
	w.in = bufio.NewReaderSize(w, 4<<10)
	w.turn = w.takeTurn
	w.cut = func() { _ = conn.SetDeadline(time.Unix(1, 0)) }
	return w, nil
}

func (w *wire) close() { _ = w.conn.Close() }

// Read reads what the server sends, for w.in.
func (w *wire) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, errLongHeaders
	}
	if int64(len(p)) > w.left {
		p = p[:w.left]
	}
	n, err := w.conn.Read(p)
	w.left -= int64(n)
	return n, err
}

// afterFunc is context.AfterFunc, which a context may know to do by itself: then
// it takes much less.
func afterFunc(ctx context.Context, f func()) (stop func() bool) {
	if c, ok := ctx.(interface{ AfterFunc(func()) func() bool }); ok {
		return c.AfterFunc(f)
	}
	return context.AfterFunc(ctx, f)
}

// exchange sends a request, and reads the answer up to its body into c.
func (w *wire) exchange(request func(b []byte) []byte, c *directCall) error {
	w.free = afterFunc(c.span.ctx, w.cut)
	err := w.ask(request)
	if errors.Is(err, errStale) {
		w.free()
		return err
	}
	// A server may answer before it has read everything, and close. What it
	// said is then worth more than that it did not listen.
	if _, unread := w.in.Peek(1); unread != nil {
		err = errors.Join(errNoAnswer, err, unread)
	} else {
		c.keep = err == nil
		err = w.readHead(c)
		w.left = math.MaxInt64
	}
	if err != nil {
		w.free()
	}
	return err
}

// ask sends a request, and waits for the answer to begin.
func (w *wire) ask(request func(b []byte) []byte) error {
	w.left = maxHeaderBytes
	w.out = request(w.out[:0])
	w.asked, w.sent = false, 0
	err := w.raw.Read(w.turn)
	switch {
	case w.sent < 0:
		return errStale
	case err == nil && w.sent < len(w.out):
		_, err = w.conn.Write(w.out[w.sent:])
	}
	if cap(w.out) > maxKeptBytes {
		w.out = nil
	}
	return err
}

// takeTurn sends the request, if the connection can be used: the server has
// neither closed it nor sent anything, which could be taken for the answer. It
// is called as one that reads, and says that it has not yet, to be called again
// once there is something to read: to look for the answer right away would be in
// vain. What could not be sent at once is left to others.
func (w *wire) takeTurn(fd uintptr) bool {
	switch {
	case w.asked:
		return true
	case w.used && !silent(fd):
		w.sent = -1
		return true
	}
	w.asked = true
	w.sent = send(fd, w.out)
	return w.sent < len(w.out)
}

// readHead reads an answer up to its body.
func (w *wire) readHead(c *directCall) error {
	here, _ := w.in.Peek(w.in.Buffered())
	if size, length, ok := plainHead(here); ok {
		_, _ = w.in.Discard(size)
		c.status, c.length = http.StatusOK, length
		c.plain, c.left = w.in, length
		return nil
	}
	if begin, _ := w.in.Peek(len(oldVersion)); string(begin) == oldVersion {
		return w.readOld(c)
	}
	for {
		response, err := http.ReadResponse(w.in, nil) //nolint:bodyclose // the connection is directCall.end's to close
		if err != nil {
			return err
		}
		code := response.StatusCode
		if code/100 == 1 && code != http.StatusSwitchingProtocols {
			continue // a hint; all of them together are bounded by w.left
		}
		c.status, c.header, c.length, c.other = code, response.Header, response.ContentLength, response.Body
		c.keep = c.keep && !response.Close && code >= 200
		return nil
	}
}

const oldVersion = "HTTP/1.0"

// readOld reads the head of an answer by HTTP/1.0. net/http would drop a
// Transfer-Encoding unread, so the head is looked through as it came. The connection
// is not used again.
func (w *wire) readOld(c *directCall) error {
	seen := &head{from: w.in}
	response, err := http.ReadResponse(bufio.NewReader(seen), nil) //nolint:bodyclose // the connection is directCall.end's to close
	if err != nil {
		return err
	}
	c.status, c.header, c.length, c.other = response.StatusCode, response.Header, response.ContentLength, response.Body
	c.misframed = transferEncoded(seen.bytes)
	c.keep, seen.whole, seen.bytes = false, true, nil
	return nil
}

// head keeps what is read until it is whole.
type head struct {
	from  io.Reader
	bytes []byte
	whole bool
}

func (h *head) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	if !h.whole {
		h.bytes = append(h.bytes, p[:n]...)
	}
	return n, err
}
