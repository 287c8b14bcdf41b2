// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package direct

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"time"
)

// Answer is an answer up to its body, which is read by Read.
type Answer struct {
	Status    int
	Header    http.Header // nil where no header changes how the body is to be read
	Length    int64       // of the body, in bytes; -1 if it is not known
	Misframed bool        // it came by HTTP/1.0 with a Transfer-Encoding

	conn     *conn
	client   *Client
	span     Span
	reusable bool          // the connection can be used again, once
	whole    bool          // the body was read to its end
	plain    *bufio.Reader // a body with so many bytes
	left     int64         // left to read;
	other    io.Reader     // or a body as net/http reads it
}

// Read reads the body.
func (a *Answer) Read(p []byte) (n int, err error) {
	if a.other != nil {
		n, err = a.other.Read(p)
	} else {
		n, err = a.readPlain(p)
	}
	if errors.Is(err, io.EOF) {
		a.whole = true
	}
	return n, err
}

func (a *Answer) readPlain(p []byte) (int, error) {
	if int64(len(p)) > a.left {
		p = p[:a.left]
	}
	n, err := a.plain.Read(p)
	a.left -= int64(n)
	if a.left == 0 {
		return n, io.EOF
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Hurry bounds the time for reading the body once more: to d from now on.
func (a *Answer) Hurry(d time.Duration) {
	if until := time.Now().Add(d); until.Before(a.span.Deadline) {
		_ = a.conn.SetReadDeadline(until)
	}
}

// End ends the call. The connection is kept if the body was read whole, and is given up
// at once if it is broken.
func (a *Answer) End(broken bool) {
	free := a.conn.release() // else the context has ended, and with it the connection
	a.client.give(a.conn, free && a.whole && a.reusable && !broken)
}
