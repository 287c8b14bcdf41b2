// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wake has the two ways in which a loop of the engine waits: for a time, or for
// a signal that there is something to do.
package wake

import (
	"context"
	"time"
)

// Signal asks a loop for something that it does once, however often it was asked. Make
// one with NewSignal. It is safe for concurrent use.
type Signal chan struct{}

// NewSignal returns a Signal that is not set.
func NewSignal() Signal { return make(Signal, 1) }

// Set sets the signal, and never blocks.
func (s Signal) Set() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Clear unsets the signal.
func (s Signal) Clear() {
	select {
	case <-s:
	default:
	}
}

// Wait returns after d, or earlier when the signal is set or ctx ends. A signal that it
// returned for is unset.
func (s Signal) Wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-s:
	case <-t.C:
	}
}

// Sleep returns after d, or earlier with ctx's error.
func Sleep(ctx context.Context, d time.Duration) error {
	Signal(nil).Wait(ctx, d)
	return ctx.Err()
}
