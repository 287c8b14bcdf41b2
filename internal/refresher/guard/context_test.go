// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// Package context takes a lease's context like one of its own.
func TestWhatFollowsALeaseEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &leaseContext{hold: &hold{ctx: t.Context()}}
		child, cancel := context.WithCancelCause(c)
		defer cancel(nil)
		other, leave := context.WithCancel(c)
		leave()
		var called, tooLate bool
		context.AfterFunc(c, func() { called = true })
		stop := context.AfterFunc(c, func() { tooLate = true })
		if !stop() || stop() {
			t.Error("what was taken back was not, or twice")
		}
		synctest.Wait()
		if c.Err() != nil || child.Err() != nil || called || len(c.after) != 2 {
			t.Fatalf("before its end: %v, %v, %v, %d follow", c.Err(), child.Err(), called, len(c.after))
		}

		c.hold.mu.Lock()
		c.end(ErrLost)
		c.end(context.DeadlineExceeded)
		c.hold.mu.Unlock()
		synctest.Wait()
		select {
		case <-c.Done():
		default:
			t.Error("it is not done")
		}
		for _, ctx := range []context.Context{c, child} {
			if cause := context.Cause(ctx); !errors.Is(cause, ErrLost) || !errors.Is(ctx.Err(), context.Canceled) {
				t.Errorf("it ended with %v, for %v", ctx.Err(), cause)
			}
		}
		if errors.Is(context.Cause(other), ErrLost) || !called || tooLate {
			t.Errorf("called: %v, too late: %v; one that had left ended with %v", called, tooLate, context.Cause(other))
		}
		called = false
		if stop := context.AfterFunc(c, func() { called = true }); stop() {
			t.Error("what comes after the end can be taken back")
		}
		if synctest.Wait(); !called {
			t.Error("what comes after the end is not called")
		}
	})
}
