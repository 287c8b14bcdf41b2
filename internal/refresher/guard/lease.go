// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Lease is a guard that is held. It renews itself until one of Set, Delete and
// Release settles it; each lease is settled once.
type Lease struct {
	guard   *Guard
	key     string
	name    string
	token   string
	version int64
	length  time.Duration

	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc

	mu      sync.Mutex
	timer   *time.Timer
	until   time.Time // when Redis lets go of the guard unless it is renewed
	settled bool
}

// Context ends when the guard is lost (with ErrLost as its cause), when it has
// been held for as long as it may be, or when the context that it was acquired
// with ends. A load must run under it.
func (l *Lease) Context() context.Context { return l.ctx }

func (l *Lease) begin(ctx context.Context, deadline time.Time) {
	bounded, stop := context.WithDeadline(ctx, deadline)
	l.ctx, l.cancel = context.WithCancelCause(bounded)
	l.stop = stop
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(time.Until(l.until)-l.length*2/3, l.renew)
}

// renew extends the lease, and looks again after a third of it. A renewal that
// fails is tried again until the lease has run out.
func (l *Lease) renew() {
	l.mu.Lock()
	if l.settled {
		l.mu.Unlock()
		return
	}
	l.guard.renewals.Add(1)
	l.mu.Unlock()
	defer l.guard.renewals.Done()

	began := time.Now()
	ctx, cancel := context.WithDeadline(l.ctx, l.until)
	defer cancel()
	// However long the client goes on trying, the load must not outlive the lease.
	late := time.AfterFunc(time.Until(l.until), func() { l.cancel(ErrLost) })
	defer late.Stop()
	mine, err := renewScript.Run(ctx, l.guard.rdb, []string{l.name}, l.token, l.length.Milliseconds()).Bool()

	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.settled || l.ctx.Err() != nil:
		return
	case err == nil && mine:
		l.until = began.Add(l.length)
	case err == nil || !time.Now().Before(l.until):
		l.cancel(ErrLost)
		return
	}
	l.timer = time.AfterFunc(min(l.length/3, time.Until(l.until)), l.renew)
}

// Outcome is how a rebuild ended.
type Outcome int

// The outcomes of Set and Delete.
const (
	Committed Outcome = iota + 1
	Changed           // the key was written or deleted meanwhile, and was left as it is
	Lost              // somebody else may hold the guard, and nothing was written
)

// Set writes value with the lifetime ttl and releases the guard, if the guard
// is still held and the key is what it was. It runs even if ctx has ended.
func (l *Lease) Set(ctx context.Context, value []byte, ttl time.Duration) (Outcome, error) {
	return l.settle(ctx, setScript, value, ttl.Milliseconds())
}

// Delete deletes the key and releases the guard, if the guard is still held and
// the key is what it was. It runs even if ctx has ended.
func (l *Lease) Delete(ctx context.Context) (Outcome, error) {
	return l.settle(ctx, deleteScript)
}

// Release lets go of the guard if it is still held. Where Redis cannot be
// reached the guard ends with its lease. It runs even if ctx has ended.
func (l *Lease) Release(ctx context.Context) {
	l.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	l.release(ctx)
}

// release names only the guard: the user may lack the right to the key.
func (l *Lease) release(ctx context.Context) {
	_ = releaseScript.Run(ctx, l.guard.rdb, []string{l.name}, l.token).Err()
}

func (l *Lease) settle(ctx context.Context, script *redis.Script, args ...any) (Outcome, error) {
	l.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	outcome, err := script.Run(ctx, l.guard.rdb, []string{l.name, l.key}, append([]any{l.token, l.version}, args...)...).Int()
	if err != nil {
		l.release(ctx)
		return 0, fmt.Errorf("settle the guard: %w", err)
	}
	return Outcome(outcome), nil
}

func (l *Lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = true
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.cancel != nil {
		l.cancel(nil)
		l.stop()
	}
}

// The fenced ones: KEYS are guard and key; ARGV are token, version, value and
// lifetime; the answer is an Outcome. The others: KEYS is the guard; ARGV are
// token and lease. The write comes before the guard is let go of: a script that
// has already written is no longer held to maxmemory.
var (
	setScript     = redis.NewScript(fenced(`redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])`))
	deleteScript  = redis.NewScript(fenced(`redis.call('DEL', KEYS[2])`))
	releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 3 end
redis.call('DEL', KEYS[1])
return 1
`)
	renewScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`)
)

func fenced(write string) string {
	return `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 3 end
local outcome = 2
if redis.call('PEXPIRETIME', KEYS[2]) == tonumber(ARGV[2]) then
  ` + write + `
  outcome = 1
end
redis.call('DEL', KEYS[1])
return outcome
`
}
