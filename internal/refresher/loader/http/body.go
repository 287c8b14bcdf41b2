// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/loader/http/direct"
)

const (
	firstRead = 512
	// maxFirstRead bounds the memory that is allocated because a server announces a
	// length. More is allocated when the body has arrived.
	maxFirstRead = 64 << 10
	// What is read of a body that nobody wants, for the sake of its connection.
	maxDrainBytes = 16 << 10
	maxDrainTime  = 50 * time.Millisecond
)

// read returns the body, or why there is none, and what it holds of the room. It reads at
// most one byte more than the limit.
func (l *Source) read(s direct.Span, r *reply) (_ []byte, hold *loader.Hold, _ *loader.Error) {
	if r.length > l.maxBody {
		return nil, nil, l.tooLarge(r)
	}
	value := make([]byte, 0, l.firstRead(r.length))
	for {
		if len(value) == cap(value) {
			if hold == nil && len(value) > maxFirstRead {
				var err error
				if hold, err = l.takeRoom(s, r); err != nil {
					return nil, nil, l.crowded(s, r)
				}
			}
			value = append(value, 0)[:len(value)]
		}
		free := value[len(value):min(int64(cap(value)), l.maxBody+1)]
		n, err := r.body.Read(free)
		value = value[:len(value)+n]
		switch {
		case int64(len(value)) > l.maxBody:
			return nil, hold, l.tooLarge(r)
		case errors.Is(err, io.EOF):
			if r.mayBeChunked && chunked(value) {
				return nil, hold, l.misframed(r)
			}
			return value, hold, nil
		case err != nil:
			return nil, hold, l.broken(s, r)
		}
	}
}

// takeRoom waits for the room that the body may need: its length, and one byte more, by
// which its end is seen.
func (l *Source) takeRoom(s direct.Span, r *reply) (*loader.Hold, error) {
	if l.room == nil {
		return nil, nil
	}
	largest := l.maxBody
	if r.length >= 0 {
		largest = r.length
	}
	ctx, cancel := s.Context()
	defer cancel()
	return l.room.Take(ctx, largest+1)
}

// crowded is the failure of a body that found no room in time.
func (l *Source) crowded(s direct.Span, r *reply) *loader.Error {
	failure := l.ended(s, "room for a large body among those that the namespace's other loads hold (--max-body-bytes-per-namespace)")
	if failure == nil { // the two times are not the same to the nanosecond
		failure = loader.Failf(loader.Timeout, "%s: no room for a large body in time", l.urls.host)
	}
	failure.Status = r.status
	return failure
}

// firstRead returns how many bytes to allocate at first: the announced length, if it is
// not outrageous, and one more, so that the end is seen without growing.
func (l *Source) firstRead(announced int64) int64 {
	if announced < 0 {
		announced = firstRead
	}
	return min(announced, maxFirstRead, l.maxBody) + 1
}

func (l *Source) tooLarge(r *reply) *loader.Error {
	failure := loader.Failf(loader.BodyTooLarge, "%s answered with more than %d bytes", l.urls.host, l.maxBody)
	failure.Status = r.status
	return failure
}

func (l *Source) broken(s direct.Span, r *reply) *loader.Error {
	failure := l.ended(s, "whole body")
	if failure == nil {
		failure = loader.Failf(loader.BodyBroken, "the answer of %s broke off or cannot be decoded", l.urls.host)
	}
	failure.Status = r.status
	return failure
}

// drain reads what is left of a small body that nobody wants, so that its
// connection can be used again, if that does not take long.
func drain(r *reply) {
	if r.status == http.StatusSwitchingProtocols || r.length > maxDrainBytes {
		return
	}
	r.Hurry(maxDrainTime)
	_, _ = io.CopyN(io.Discard, r.body, maxDrainBytes)
}

// misframed is a failure: what an answer by HTTP/1.0 with a Transfer-Encoding means
// nobody knows (RFC 9112, 6.1), and its framing would be stored with the value.
func (l *Source) misframed(r *reply) *loader.Error {
	failure := loader.Failf(loader.BodyBroken, "%s answered by HTTP/1.0 in chunks, which only HTTP/1.1 has; have the server answer by HTTP/1.1, or with a Content-Length", l.urls.host)
	failure.Status = r.status
	return failure
}
