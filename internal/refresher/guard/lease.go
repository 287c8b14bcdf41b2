// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Lease is a guard that is held. It renews itself until one of Set, Delete,
// Release and Settle settles it; each lease is settled once.
type Lease struct {
	hold    *hold
	key     string
	name    string
	token   string
	version int64
	context leaseContext
	place   int // in the hold's leases; -1 if it is not held, or settled
}

// Context ends when the guard is lost (with ErrLost), when it has been held for
// as long as it may be, when it is settled, or when the context that it was
// acquired with ends. A load must run under it.
func (l *Lease) Context() context.Context { return &l.context }

// hold is what leases share that were acquired together: how long they may be
// held, and their renewal.
type hold struct {
	guard  *Guard
	length time.Duration
	ctx    context.Context
	stop   func()

	mu     sync.Mutex
	leases []*Lease // not settled
	timer  *time.Timer
	until  time.Time // when Redis lets go of the guards unless they are renewed
}

// begin holds leases until a deadline.
func (h *hold) begin(ctx context.Context, leases []*Lease, deadline time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithDeadline(ctx, deadline)
	ended := context.AfterFunc(ctx, h.over)
	h.ctx, h.stop = ctx, func() { ended(); cancel() }
	h.leases = leases
	for i, l := range leases {
		l.place = i
		l.context.hold = h
	}
	h.timer = time.AfterFunc(time.Until(h.until)-h.length*2/3, h.renew)
}

// over ends the contexts of all leases with the hold's.
func (h *hold) over() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.leases {
		l.context.end(h.ctx.Err())
	}
}

// renew extends the leases, and looks again after a third of their length. A
// renewal that fails is tried again until they have run out.
func (h *hold) renew() {
	h.mu.Lock()
	if len(h.leases) == 0 {
		h.mu.Unlock()
		return
	}
	leases := append([]*Lease(nil), h.leases...)
	h.guard.renewals.Add(1)
	h.mu.Unlock()
	defer h.guard.renewals.Done()

	began := time.Now()
	ctx, cancel := context.WithDeadline(h.ctx, h.until)
	defer cancel()
	// However long the client goes on trying, the loads must not outlive the leases.
	late := time.AfterFunc(time.Until(h.until), func() { h.lose(leases, nil) })
	mine, err := h.guard.renew(ctx, leases, h.length)
	late.Stop()
	if err == nil || !time.Now().Before(h.until) {
		h.lose(leases, mine)
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case len(h.leases) == 0 || h.ctx.Err() != nil:
		return
	case err == nil:
		h.until = began.Add(h.length)
	}
	h.timer = time.AfterFunc(min(h.length/3, time.Until(h.until)), h.renew)
}

// lose ends those leases that are not mine any more, and not settled: all of
// them, if mine is nil.
func (h *hold) lose(leases []*Lease, mine []bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, l := range leases {
		if l.place >= 0 && (mine == nil || !mine[i]) {
			l.context.end(ErrLost)
			h.drop(l)
		}
	}
}

// end stops renewing a lease that is to be settled. Its context ends.
func (l *Lease) end() {
	h := l.hold
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.place >= 0 {
		l.context.end(context.Canceled)
		h.drop(l)
	}
}

// drop takes a lease from the hold, which ends with its last one.
func (h *hold) drop(l *Lease) {
	last := len(h.leases) - 1
	h.leases[last].place, h.leases[l.place] = l.place, h.leases[last]
	h.leases, l.place = h.leases[:last], -1
	if last == 0 {
		h.timer.Stop()
		h.stop()
	}
}

// renew prolongs guards that are held, and says of each whether it was.
func (g *Guard) renew(ctx context.Context, leases []*Lease, length time.Duration) ([]bool, error) {
	mine := make([]bool, 0, len(leases))
	for len(mine) < len(leases) {
		some := leases[len(mine):]
		some = some[:min(len(some), MaxSettle)]
		names, args := make([]string, len(some)), []any{length.Milliseconds()}
		for i, l := range some {
			names[i] = l.name
			args = append(args, l.token)
		}
		held, err := renewScript.Run(ctx, g.rdb, names, args...).BoolSlice()
		if err != nil {
			return nil, err
		}
		mine = append(mine, held...)
	}
	return mine, nil
}

// KEYS are guards; ARGV are the length, and their tokens.
var renewScript = redis.NewScript(`
local mine = {}
for i, guard in ipairs(KEYS) do
  mine[i] = 0
  if redis.pcall('GET', guard) == ARGV[i + 1] then
    mine[i] = redis.call('PEXPIRE', guard, ARGV[1])
  end
end
return mine
`)
