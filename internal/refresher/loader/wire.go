// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bufio"
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"syscall"
	"time"
)

// errNoAnswer is in the error of a call to which not a byte was answered.
var errNoAnswer = errors.New("no answer")

// maxKeptBytes is how much room for requests a connection keeps.
const maxKeptBytes = 16 << 10

var errLongHeaders = errors.New("the answer's headers are too long")

// wire is a connection of direct.
type wire struct {
	conn  net.Conn
	raw   syscall.RawConn
	in    *bufio.Reader
	out   []byte // the request, kept for its room
	left  int64  // how much may still be read: headers are bounded
	since time.Time
	used  bool        // it served a call before
	free  func() bool // ends the hold of the call's context, and says whether it was not yet used

	peek  func(fd uintptr) bool // made once, as it would be allocated for each call
	alive bool                  // its result
}

func newWire(conn net.Conn) *wire {
	w := &wire{conn: conn}
	w.in = bufio.NewReaderSize(w, 4<<10)
	if c, ok := conn.(syscall.Conn); ok {
		w.raw, _ = c.SyscallConn()
	}
	w.peek = func(fd uintptr) bool {
		w.alive = silent(fd)
		return true
	}
	return w
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

// quiet says whether a connection that was idle can be used: the server has
// neither closed it nor sent anything, which could be taken for the next answer.
func (w *wire) quiet() bool {
	if w.raw == nil || w.in.Buffered() > 0 {
		return false
	}
	w.alive = false
	return w.raw.Read(w.peek) == nil && w.alive
}

// exchange sends a request, and reads the answer up to its body into c.
func (w *wire) exchange(request func(b []byte) []byte, c *directCall) error {
	w.free = context.AfterFunc(c.span.ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	err := w.write(request)
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

func (w *wire) write(request func(b []byte) []byte) error {
	w.left = maxHeaderBytes
	w.out = request(w.out[:0])
	_, err := w.conn.Write(w.out)
	if cap(w.out) > maxKeptBytes {
		w.out = nil
	}
	return err
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
