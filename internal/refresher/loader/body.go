// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	firstRead = 512
	// maxFirstRead bounds the room that is made because a server announces
	// a length. More is made when it has arrived.
	maxFirstRead = 64 << 10
	// What is read of a body that nobody wants, for the sake of its connection.
	maxDrainBytes = 16 << 10
	maxDrainTime  = 50 * time.Millisecond
)

// read returns the body, or why it cannot be had. It reads at most one byte more
// than the limit.
func (l *Loader) read(ctx context.Context, r *http.Response) ([]byte, *Error) {
	if r.ContentLength > l.maxBody {
		return nil, l.tooLarge(r)
	}
	value := make([]byte, 0, l.firstRead(r.ContentLength))
	for {
		if len(value) == cap(value) {
			value = append(value, 0)[:len(value)]
		}
		room := value[len(value):min(int64(cap(value)), l.maxBody+1)]
		n, err := r.Body.Read(room)
		value = value[:len(value)+n]
		switch {
		case int64(len(value)) > l.maxBody:
			return nil, l.tooLarge(r)
		case errors.Is(err, io.EOF):
			return value, nil
		case err != nil:
			return nil, l.broken(ctx, r)
		}
	}
}

// firstRead returns the room to begin with: all that is needed if the length is
// known and not outrageous, and one more, so that the end is seen without
// growing.
func (l *Loader) firstRead(announced int64) int64 {
	if announced < 0 {
		announced = firstRead
	}
	return min(announced, maxFirstRead, l.maxBody) + 1
}

func (l *Loader) tooLarge(r *http.Response) *Error {
	failure := failf(BodyTooLarge, "%s answered with more than %d bytes", l.urls.host, l.maxBody)
	failure.Status = r.StatusCode
	return failure
}

func (l *Loader) broken(ctx context.Context, r *http.Response) *Error {
	failure := l.ended(ctx, "whole body")
	if failure == nil {
		failure = failf(BodyBroken, "the answer of %s broke off or cannot be decoded", l.urls.host)
	}
	failure.Status = r.StatusCode
	return failure
}

// drain reads what is left of a small body that nobody wants, so that its
// connection can be used again, and gives it up with cancel if it is too slow.
func drain(r *http.Response, cancel func()) {
	if r.StatusCode == http.StatusSwitchingProtocols || r.ContentLength > maxDrainBytes {
		return
	}
	timer := time.AfterFunc(maxDrainTime, cancel)
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, r.Body, maxDrainBytes)
}
