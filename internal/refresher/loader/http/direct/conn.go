// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package direct

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

// maxKeptBytes is how large a buffer for requests a connection keeps, in bytes.
const maxKeptBytes = 16 << 10

var errLongHeaders = errors.New("the answer's headers are too long")

// conn is a connection of a Client. It belongs to one call at a time.
type conn struct {
	net.Conn
	raw        syscall.RawConn
	in         *bufio.Reader
	out        []byte      // the request; kept for its memory
	maxHeaders int64       // bytes of an answer's headers, at most
	readable   int64       // bytes that may still be read: while headers come, they are bounded
	since      time.Time   // when it became idle
	until      time.Time   // when it takes no new call any more
	used       bool        // it served a call before
	cut        func()      // ends the call, from another goroutine
	release    func() bool // stops cut from being called, and says whether it was not yet

	turn  func(fd uintptr) bool // takeTurn; made once, as it would be allocated for each call
	asked bool                  // takeTurn has sent the request, as far as the socket took it
	sent  int                   // bytes of out that takeTurn has sent; -1 if the connection is stale
}

func newConn(made net.Conn, life time.Duration, maxHeaders int64) (*conn, error) {
	raw, err := made.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &conn{Conn: made, raw: raw, until: time.Now().Add(life), maxHeaders: maxHeaders}
	w.in = bufio.NewReaderSize(boundedReader{w}, 4<<10)
	w.turn = w.takeTurn
	w.cut = func() { _ = made.SetDeadline(time.Unix(1, 0)) }
	return w, nil
}

func (w *conn) close() { _ = w.Close() }

// boundedReader reads what the server sends, up to what may be read.
type boundedReader struct{ *conn }

func (r boundedReader) Read(p []byte) (int, error) {
	if r.readable <= 0 {
		return 0, errLongHeaders
	}
	if int64(len(p)) > r.readable {
		p = p[:r.readable]
	}
	n, err := r.Conn.Read(p)
	r.readable -= int64(n)
	return n, err
}

// afterFunc is context.AfterFunc, which a context may know to do by itself: then
// it costs much less.
func afterFunc(ctx context.Context, f func()) (stop func() bool) {
	if c, ok := ctx.(interface{ AfterFunc(func()) func() bool }); ok {
		return c.AfterFunc(f)
	}
	return context.AfterFunc(ctx, f)
}

// exchange sends a request, and reads the answer up to its body into a.
func (w *conn) exchange(request func(b []byte) []byte, a *Answer) error {
	w.release = afterFunc(a.span.Ctx, w.cut)
	err := w.ask(request)
	if errors.Is(err, errStale) {
		w.release()
		return err
	}
	// A server may answer before it has read everything, and close. Its answer is then
	// worth more than the error of the write.
	if _, unread := w.in.Peek(1); unread != nil {
		err = errors.Join(errNoAnswer, err, unread)
	} else {
		a.reusable = err == nil
		err = w.readHead(a)
		w.readable = math.MaxInt64
	}
	if err != nil {
		w.release()
	}
	return err
}

// ask sends a request, and waits for the answer to begin.
func (w *conn) ask(request func(b []byte) []byte) error {
	w.readable = w.maxHeaders
	w.out = request(w.out[:0])
	w.asked, w.sent = false, 0
	err := w.raw.Read(w.turn)
	switch {
	case w.sent < 0:
		return errStale
	case err == nil && w.sent < len(w.out):
		_, err = w.Write(w.out[w.sent:])
	}
	if cap(w.out) > maxKeptBytes {
		w.out = nil
	}
	return err
}

// takeTurn sends the request if the connection can be used: the server has neither
// closed it nor sent anything, which could be taken for the answer. It is called as a
// reader, and says that it has not read yet, so that it is called again once there is
// something to read: to look for the answer right away would be in vain. What the socket
// does not take at once, ask writes.
func (w *conn) takeTurn(fd uintptr) bool {
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
func (w *conn) readHead(a *Answer) error {
	here, _ := w.in.Peek(w.in.Buffered())
	if size, length, ok := parseHead(here); ok {
		_, _ = w.in.Discard(size)
		a.Status, a.Length = http.StatusOK, length
		a.plain, a.left = w.in, length
		return nil
	}
	if begin, _ := w.in.Peek(len(oldVersion)); string(begin) == oldVersion {
		return w.readOld(a)
	}
	for {
		response, err := http.ReadResponse(w.in, nil) //nolint:bodyclose // the connection is Answer.End's to close
		if err != nil {
			return err
		}
		code := response.StatusCode
		if code/100 == 1 && code != http.StatusSwitchingProtocols {
			continue // a hint; all of them together are bounded by w.readable
		}
		a.Status, a.Header, a.Length, a.other = code, response.Header, response.ContentLength, response.Body
		a.reusable = a.reusable && !response.Close && code >= 200
		return nil
	}
}

const oldVersion = "HTTP/1.0"

// readOld reads the head of an answer by HTTP/1.0. net/http would drop a
// Transfer-Encoding unread, so the head is looked through as it came. The connection
// is not used again.
func (w *conn) readOld(a *Answer) error {
	seen := &recorder{from: w.in}
	response, err := http.ReadResponse(bufio.NewReader(seen), nil) //nolint:bodyclose // the connection is Answer.End's to close
	if err != nil {
		return err
	}
	a.Status, a.Header, a.Length, a.other = response.StatusCode, response.Header, response.ContentLength, response.Body
	a.Misframed = transferEncoded(seen.bytes)
	a.reusable, seen.off, seen.bytes = false, true, nil
	return nil
}

// recorder keeps what is read, until it is off.
type recorder struct {
	from  io.Reader
	bytes []byte
	off   bool
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if !r.off {
		r.bytes = append(r.bytes, p[:n]...)
	}
	return n, err
}
