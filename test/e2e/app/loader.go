// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"sync"
	"time"
)

// slowness is what a call costs: a reader that has to wait for it is stalled.
const slowness = 30 * time.Millisecond

// backend answers with a new version of a product at each call.
type backend struct {
	mu      sync.Mutex
	calls   int
	running map[string]int
	doubled int // calls for a product while another ran
}

func newBackend() *backend { return &backend{running: map[string]int{}} }

func (b *backend) serve(mux *http.ServeMux) {
	mux.HandleFunc("GET /products/{id}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		call := b.begin(id)
		defer b.end(id)
		time.Sleep(slowness)
		answer(w, map[string]any{"id": id, "call": call, "at": time.Now()})
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		answer(w, map[string]int{"calls": b.calls, "doubled": b.doubled})
	})
}

func (b *backend) begin(id string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	b.running[id]++
	if b.running[id] > 1 {
		b.doubled++
	}
	return b.calls
}

func (b *backend) end(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running[id]--; b.running[id] == 0 {
		delete(b.running, id)
	}
}
