// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// reply is an answer up to its body.
type reply struct {
	status int
	header http.Header // may lack those that the reading of the body is about
	length int64       // of the body; -1 if it is not known
	body   io.Reader
	call

	misframed    bool // by HTTP/1.0, with a Transfer-Encoding
	mayBeChunked bool // by HTTP/1.0, and it is not known whether with a Transfer-Encoding
}

// call is a request that was answered.
type call interface {
	// hurry bounds the time for reading the body once more.
	hurry(d time.Duration)
	// end must follow. The connection is kept if the body was read whole, and is
	// given up at once if it is broken.
	end(broken bool)
}

// transportCall is a call by an http.RoundTripper.
type transportCall struct {
	body   io.Closer
	cancel context.CancelFunc
	timer  *time.Timer
}

func (c *transportCall) hurry(d time.Duration) { c.timer = time.AfterFunc(d, c.cancel) }

func (c *transportCall) end(broken bool) {
	if broken {
		c.cancel() // so that Close, whatever net/http makes of it, does not read on
	}
	_ = c.body.Close()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.cancel() // after Close, so that it cannot cut short a connection worth keeping
}

// directCall is a call by a direct, its answer, and the answer's body.
type directCall struct {
	reply
	wire  *wire
	pool  *direct
	span  span
	keep  bool          // the connection can be used again, when
	whole bool          // the body was read to its end
	plain *bufio.Reader // of a body of which so much
	left  int64         // is left;
	other io.Reader     // or a body as net/http reads it
}

func (c *directCall) Read(p []byte) (n int, err error) {
	if c.other != nil {
		n, err = c.other.Read(p)
	} else {
		n, err = c.readPlain(p)
	}
	if errors.Is(err, io.EOF) {
		c.whole = true
	}
	return n, err
}

func (c *directCall) readPlain(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.plain.Read(p)
	c.left -= int64(n)
	if c.left == 0 {
		return n, io.EOF
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *directCall) hurry(d time.Duration) {
	if until := time.Now().Add(d); until.Before(c.span.deadline) {
		_ = c.wire.conn.SetReadDeadline(until)
	}
}

func (c *directCall) end(broken bool) {
	free := c.wire.free() // else the context has ended, and with it the connection
	c.pool.give(c.wire, free && c.whole && c.keep && !broken)
}

// unzipped is a compressed body. It begins to read when it is read, so that
// nothing waits for a body that nobody wants.
type unzipped struct {
	body io.Reader
	zip  *gzip.Reader
	err  error
}

func (z *unzipped) Read(p []byte) (int, error) {
	if z.zip == nil && z.err == nil {
		z.zip, z.err = gzip.NewReader(z.body)
	}
	if z.err != nil {
		return 0, z.err
	}
	return z.zip.Read(p)
}
