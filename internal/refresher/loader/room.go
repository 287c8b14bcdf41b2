// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Room bounds the bytes of large answers that sources hold at once. An answer takes all
// the room that it may need at once, so that no two wait for each other; only the calls
// of a batch that needs several may, until their time is over. A nil Room has no bound.
type Room struct {
	size int64
	free *semaphore.Weighted
}

// NewRoom makes a Room of so many bytes; without a bound if they are 0.
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

// Take waits for room for an answer of one value, until ctx ends. An answer larger than
// the whole Room takes all of it. A nil Room gives a nil Hold.
func (r *Room) Take(ctx context.Context, bytes int64) (*Hold, error) {
	if r == nil {
		return nil, nil
	}
	h := &Hold{room: r, bytes: min(bytes, r.size)}
	if err := r.free.Acquire(ctx, h.bytes); err != nil {
		return nil, err
	}
	h.values.Store(1)
	return h, nil
}

// Share has the hold of a whole answer be that of each of its results.
func (h *Hold) Share(results []Result) {
	if h != nil {
		h.values.Store(int32(len(results)))
		for i := range results {
			results[i].Hold = h
		}
	}
}
