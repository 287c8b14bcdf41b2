// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package guard is the rebuild lock of one Redis key, and the fence that keeps
// a rebuild from overwriting what happened while it ran.
//
//	Acquire ──────────── load ──────────── Set | Delete | Release
//	SET NX PX <lease>     │  renewed at a     one script: still mine?
//	PEXPIRETIME           │  third of the     key unchanged? then write
//	TYPE                  │  lease
//
// The lock is the plain one: a random token under SET NX PX, renewed and
// released by its owner only. redis-py's Lock, redsync, bsm/redislock and
// node-redlock use the same format, so that an application in any language can
// take part; see Name for where it lies. A dead holder blocks its key for no
// longer than one lease.
//
// The lock is for efficiency, the fence for correctness. It compares the key's
// PEXPIRETIME with what it was when the lock was taken, so an application's
// write or deletion wins over a rebuild in flight. Writes that keep the expiry
// to the millisecond (KEEPTTL, INCR, APPEND) it cannot see. Nor does it promise
// exactly one load: a failover that loses the lock lets a second one begin.
//
// Source of the lock: https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
package guard

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// DefaultLease is how long Redis holds a guard unless it is renewed.
const DefaultLease = 2 * time.Second

// settleTimeout bounds the command that ends a rebuild. It runs on even when
// the rebuild was canceled, so that no guard is left behind.
const settleTimeout = 2 * time.Second

// What TTL and Version say of a key that has none.
const (
	NoExpiry = -1
	Missing  = -2
)

// ErrLost is why a lease's context ended if Redis gave the guard to another,
// or could not be reached to renew it in time.
var ErrLost = fmt.Errorf("the guard was lost: %w", context.Canceled)

// Guard takes rebuild locks on one Redis. It is safe for concurrent use.
type Guard struct {
	rdb      redis.Cmdable
	lease    time.Duration
	renewals sync.WaitGroup
}

// New returns a Guard whose locks Redis holds for lease unless renewed: at least
// a millisecond.
func New(rdb redis.Cmdable, lease time.Duration) *Guard {
	return &Guard{rdb: rdb, lease: lease}
}

// Wait returns when no renewal is under way any more. No lock may be held.
func (g *Guard) Wait() { g.renewals.Wait() }

// Acquisition is what Acquire found of one key.
type Acquisition struct {
	Lease   *Lease        // nil if somebody else holds the guard
	TTL     time.Duration // remaining lifetime, or NoExpiry, or Missing
	Version int64         // PEXPIRETIME in milliseconds, or NoExpiry, or Missing
	Type    string        // as by TYPE; "none" for a missing key
}

// Acquire tries to take the guard of each key, and reads what the key is after
// that, all in one pipeline. The leases live until they are settled, for at
// most holdFor, or until ctx ends. With an error no lock is held, unless Redis
// cannot be reached to release it: then it ends with its lease.
func (g *Guard) Acquire(ctx context.Context, keys []string, holdFor time.Duration) ([]Acquisition, error) {
	length := min(g.lease, holdFor)
	if length < time.Millisecond { // Redis would hold it for ever
		return nil, fmt.Errorf("acquire guards: a lease of %s held for %s is shorter than a millisecond", g.lease, holdFor)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("acquire guards: %w", err)
	}
	began := time.Now()
	h := &hold{guard: g, length: length, until: began.Add(length)}
	leases := make([]*Lease, len(keys))
	asked := make([]replies, len(keys))
	token := rand.Text() // one for all: a key has one guard
	clock := redis.NewTimeCmd(ctx, "TIME")
	_, err := g.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		_ = p.Process(ctx, clock)
		for i, key := range keys {
			leases[i] = &Lease{hold: h, key: key, name: Name(key), token: token, place: -1}
			asked[i] = ask(ctx, p, leases[i])
		}
		return nil
	})
	if err != nil {
		// Of a lost connection go-redis does not say which commands were answered.
		g.release(ctx, leases)
		return nil, fmt.Errorf("acquire guards: %w", err)
	}
	found := make([]Acquisition, len(keys))
	held := leases[:0]
	now := clock.Val().UnixMilli()
	for i, a := range asked {
		found[i] = Acquisition{TTL: ttlAt(now, a.version.Val()), Version: a.version.Val(), Type: a.kind.Val()}
		if l := leases[i]; a.set.Val() {
			l.version = found[i].Version
			found[i].Lease = l
			held = append(held, l)
		}
	}
	if len(held) > 0 {
		h.begin(ctx, held, began.Add(holdFor))
	}
	return found, nil
}

// replies are those to the commands of one acquisition. PEXPIRETIME is asked for
// as it is: the client's own method makes a Duration of it.
type replies struct {
	set     *redis.BoolCmd
	version *redis.IntCmd
	kind    *redis.StatusCmd
}

func ask(ctx context.Context, p redis.Pipeliner, l *Lease) replies {
	var key any = l.key // once for two commands
	r := replies{
		set:     p.SetNX(ctx, l.name, l.token, l.hold.length),
		version: redis.NewIntCmd(ctx, "PEXPIRETIME", key),
		kind:    redis.NewStatusCmd(ctx, "TYPE", key),
	}
	_ = p.Process(ctx, r.version)
	_ = p.Process(ctx, r.kind)
	return r
}

// ttlAt is what is left, by Redis' clock, until an expiry in milliseconds: what
// PTTL would say, without asking for it. A key that is there has something left.
func ttlAt(now, expiry int64) time.Duration {
	if expiry < 0 {
		return TTL(expiry)
	}
	return TTL(max(1, expiry-now))
}

// TTL is a reply of PTTL, in milliseconds, as a Duration, or NoExpiry, or Missing.
// Durations are too short for some expiries that Redis takes (EXPIREAT
// 99999999999): the longest stands for them.
func TTL(reply int64) time.Duration {
	switch {
	case reply < 0:
		return time.Duration(reply) // NoExpiry or Missing
	case reply > math.MaxInt64/int64(time.Millisecond):
		return math.MaxInt64
	}
	return time.Duration(reply) * time.Millisecond
}
