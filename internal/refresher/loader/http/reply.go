// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"time"
)

// reply is an answer up to its body.
type reply struct {
	status int         // of HTTP
	header http.Header // without those that only frame the body; nil if none matters
	length int64       // of the body, in bytes; -1 if it is not known
	body   io.Reader   // to be read before End
	call

	misframed    bool // it came by HTTP/1.0 with a Transfer-Encoding
	mayBeChunked bool // it came by HTTP/1.0, perhaps with a Transfer-Encoding
}

// call is a request that was answered.
type call interface {
	// Hurry bounds the time for reading the body once more: to d from now on.
	Hurry(d time.Duration)
	// End must follow. The connection is kept if the body was read whole, and is
	// given up at once if it is broken.
	End(broken bool)
}

// transportCall is a call by an http.RoundTripper.
type transportCall struct {
	body   io.Closer
	cancel context.CancelFunc
	timer  *time.Timer // of Hurry; nil without it
}

// Hurry ends the call after d.
func (c *transportCall) Hurry(d time.Duration) { c.timer = time.AfterFunc(d, c.cancel) }

// End ends the call.
func (c *transportCall) End(broken bool) {
	if broken {
		c.cancel() // so that Close, whatever net/http makes of it, does not read on
	}
	_ = c.body.Close()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.cancel() // after Close, so that it cannot cut short a connection worth keeping
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
