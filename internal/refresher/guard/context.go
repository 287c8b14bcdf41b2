// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"slices"
	"time"
)

// leaseContext is the context of a lease. One of package context for each key
// would cost more than all else that is done here for it: what follows contexts
// is noted in maps, which are made for the first.
type leaseContext struct {
	hold  *hold // whose mutex guards the rest
	err   error
	done  chan struct{} // made when it is asked for
	after []*func()
}

var _ context.Context = (*leaseContext)(nil)

// Deadline is when the guard will have been held for as long as it may be.
func (c *leaseContext) Deadline() (time.Time, bool) { return c.hold.ctx.Deadline() }

// Value is nil, whatever is asked for. With the values of the context that the
// guard was acquired with, context.Cause would take its end for this one's.
func (c *leaseContext) Value(any) any { return nil }

func (c *leaseContext) Err() error {
	c.hold.mu.Lock()
	defer c.hold.mu.Unlock()
	return c.err
}

func (c *leaseContext) Done() <-chan struct{} {
	c.hold.mu.Lock()
	defer c.hold.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

// AfterFunc has f called, in a goroutine of its own, when the context ends. stop
// takes that back, and says whether it was in time. Package context uses it for
// what follows this context.
func (c *leaseContext) AfterFunc(f func()) (stop func() bool) {
	c.hold.mu.Lock()
	defer c.hold.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	this := &f
	c.after = append(c.after, this)
	return func() bool {
		c.hold.mu.Lock()
		defer c.hold.mu.Unlock()
		i := slices.Index(c.after, this)
		if i >= 0 {
			c.after = slices.Delete(c.after, i, i+1)
		}
		return i >= 0
	}
}

// end ends the context, if it has not ended yet. The hold is locked.
func (c *leaseContext) end(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	for _, f := range c.after {
		go (*f)()
	}
	c.after = nil
}
