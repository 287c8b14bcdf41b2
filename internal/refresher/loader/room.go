// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Room bounds the bytes of large bodies that loaders hold at once. A body that turns out
// to be larger than 64 KiB waits for room, once and for all that it may need, so that no
// two wait for each other: but for the calls of batches that need several, until their
// time is over. A nil Room is without end.
type Room struct {
	size int64
	free *semaphore.Weighted
}

// NewRoom makes a Room of so many bytes; without end if they are 0.
func NewRoom(bytes int64) *Room {
	if bytes <= 0 {
		return nil
	}
	return &Room{bytes, semaphore.NewWeighted(bytes)}
}

// Hold is what one answer takes of a Room, until all of its values are let go.
type Hold struct {
	room   *Room
	bytes  int64
	values atomic.Int32
}

// Release lets go of one value. A nil Hold holds nothing.
func (h *Hold) Release() {
	if h != nil && h.values.Add(-1) == 0 {
		h.room.free.Release(h.bytes)
	}
}

// enter takes room for a body within the time of a call. What is larger than the whole
// Room takes all of it. Without a Room there is nothing to hold.
func (r *Room) enter(s span, bytes int64) (*Hold, error) {
	if r == nil {
		return nil, nil
	}
	ctx, cancel := s.context()
	defer cancel()
	h := &Hold{room: r, bytes: min(bytes, r.size)}
	if err := r.free.Acquire(ctx, h.bytes); err != nil {
		return nil, err
	}
	h.values.Store(1)
	return h, nil
}

// share has what holds a whole answer hold each of its results.
func (h *Hold) share(results []Result) {
	if h != nil {
		h.values.Store(int32(len(results)))
		for i := range results {
			results[i].Hold = h
		}
	}
}

// WithRoom has large bodies wait for room.
func WithRoom(room *Room) Option {
	return func(o *options) { o.room = room }
}
