// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// Room is taken by what is larger than 64 KiB, and is free again when the value is let go,
// or when there is none.
func TestLargeBodiesTakeRoom(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	large := strings.Repeat("x", 100<<10)
	sizes := map[string]string{"/small": "x", "/large": large, "/huge": strings.Repeat("x", limit+1), "/slow": large}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.Header().Set("Content-Length", "500000")
			_, _ = io.WriteString(w, large)
			return
		}
		_, _ = io.WriteString(w, sizes[r.URL.Path][:len(sizes[r.URL.Path])/2])
		w.(http.Flusher).Flush() // so that no length is announced
		_, _ = io.WriteString(w, sizes[r.URL.Path][len(sizes[r.URL.Path])/2:])
	})
	room := loader.NewRoom(limit)
	free := func() bool { return isFree(t, room, limit) }
	l := newLoader(t, server.URL, Config{MaxBodyBytes: limit}, withRoom(room))
	for path, holds := range map[string]bool{"small": false, "large": true, "huge": false, "broken": false} {
		got := l.LoadOne(t.Context(), "p:"+path)
		if held := !free(); held != holds || (got.Hold != nil) != holds {
			t.Errorf("%s: holds room: %t (%v)", path, held, got.Err)
		}
		got.Hold.Release()
		if !free() {
			t.Errorf("%s: room is held that nobody needs", path)
		}
	}
	if _, err := l.Load(t.Context(), "p:large"); err != nil || !free() {
		t.Errorf("Load holds room: %v", err)
	}

	first := l.LoadOne(t.Context(), "p:large")
	l.timeout = haste
	_, err := l.Load(t.Context(), "p:slow")
	var failure *loader.Error
	if !errors.As(err, &failure) || failure.Reason != loader.Timeout || !strings.Contains(failure.Message, "--max-body-bytes-per-namespace") {
		t.Errorf("without room: %v", err)
	}
	l.timeout = patience
	first.Hold.Release()
	if _, err := l.Load(t.Context(), "p:slow"); err != nil || !free() {
		t.Errorf("with room again: %v", err)
	}
}

func TestABatchHoldsRoomUntilItsLastValueIsLetGo(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		value := strings.Repeat("x", 60<<10)
		_ = json.NewEncoder(w).Encode(map[string]any{"values": map[string]string{"p:1": value, "p:2": value}, "notFound": []string{"p:3"}})
	})
	room := loader.NewRoom(limit)
	l := makeLoader(t, "p:{id}", Config{URL: server.URL, BatchSize: 10, MaxBodyBytes: limit}, withRoom(room))
	results := l.LoadMany(t.Context(), []string{"p:1", "p:2", "p:3"}, nil)
	for i, r := range results {
		if isFree(t, room, limit) {
			t.Fatalf("the room is free while value %d is held (%v)", i, r.Err)
		}
		r.Hold.Release()
	}
	if !isFree(t, room, limit) {
		t.Error("room is held that nobody needs")
	}
}

// isFree says that nothing holds a part of the room.
func isFree(t *testing.T, room *loader.Room, bytes int64) bool {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	hold, err := room.Take(ctx, bytes)
	hold.Release()
	return err == nil
}
