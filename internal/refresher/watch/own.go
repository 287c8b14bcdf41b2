// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/wake"
)

// own tells misses that our own commands caused from those of readers. PTTL,
// PEXPIRETIME and TYPE of a missing key publish a key-miss like any GET: without
// this, a key that is gone would be brought back by our asking whether it is.
//
// It sees each of our commands go out and be answered, as a hook of the client. A
// miss may come before the answer that explains it, or long after:
//
//	command ─────────── answer: missing ── PING ─────── PONG
//	    └ a miss is held until then ┘ and is ours up to here ┘
//
// Redis is one thread, and what it sends to one connection stays in order. So
// whatever a command published arrives before the PONG to a PING that was sent
// after that command's answer. That is exact, whatever the delay; and it hides a
// reader's miss for no longer than that.
type own struct {
	on   atomic.Bool      // misses are wanted; without it no keys are noted
	pass func(key string) // a reader's miss
	ping wake.Signal      // set when a barrier is wanted

	mu      sync.Mutex
	next    uint64              // number of the next command or pipeline
	flying  map[uint64]struct{} // those without an answer yet
	held    map[string]uint64   // misses: the command whose end, and that of all before it, decides
	fresh   map[string]struct{} // keys of ours since the last barrier was sent
	behind  map[string]struct{} // those before it
	barrier uint64              // number of the last barrier
}

const barrierPrefix = reserved + "barrier:"

func newOwn(pass func(string)) *own {
	return &own{
		pass: pass, ping: wake.NewSignal(), flying: map[uint64]struct{}{},
		held: map[string]uint64{}, fresh: map[string]struct{}{}, behind: map[string]struct{}{},
	}
}

// reset begins again with a subscription that is about to be made: no event of
// the past can reach it.
func (o *own) reset(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.held)
	clear(o.fresh)
	clear(o.behind)
	o.on.Store(on)
}

// missed takes in a key-miss event.
func (o *own) missed(key string) {
	if o.take(key) {
		o.pass(key)
	}
}

func (o *own) take(key string) (reader bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ours(key) {
		return false
	}
	if len(o.flying) == 0 {
		return true
	}
	if _, already := o.held[key]; !already && len(o.held) < maxQueued {
		o.held[strings.Clone(key)] = o.next
	}
	return false
}

func (o *own) ours(key string) bool {
	_, fresh := o.fresh[key]
	_, behind := o.behind[key]
	return fresh || behind
}

// sent notes that commands go out.
func (o *own) sent() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next++
	o.flying[o.next-1] = struct{}{}
	return o.next - 1
}

// answered notes that they were answered, and which keys they may have missed.
func (o *own) answered(number uint64, cmds ...redis.Cmder) {
	var missing []string
	if o.on.Load() {
		for _, cmd := range cmds {
			missing = appendMissed(missing, cmd)
		}
	}
	for _, key := range o.settle(number, missing) {
		o.pass(key)
	}
}

func (o *own) settle(number uint64, missing []string) (readers []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.flying, number)
	for _, key := range missing {
		delete(o.held, key)
		o.fresh[key] = struct{}{}
	}
	if len(missing) > 0 {
		o.ping.Set()
	}
	if len(o.held) == 0 {
		return nil
	}
	oldest := o.next
	for n := range o.flying {
		oldest = min(oldest, n)
	}
	for key, until := range o.held {
		if until <= oldest {
			delete(o.held, key)
			readers = append(readers, key)
		}
	}
	return readers
}

// begin names a barrier that is about to be sent, if one is wanted and none is on
// its way.
func (o *own) begin() (payload string, wanted bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.behind) > 0 || len(o.fresh) == 0 {
		return "", false
	}
	o.behind, o.fresh = o.fresh, o.behind
	o.barrier++
	return barrierPrefix + strconv.FormatUint(o.barrier, 10), true
}

// passed takes in a PONG, and says whether it was a barrier's.
func (o *own) passed(payload string) bool {
	number, ok := strings.CutPrefix(payload, barrierPrefix)
	if !ok {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if number == strconv.FormatUint(o.barrier, 10) {
		clear(o.behind)
		if len(o.fresh) > 0 {
			o.ping.Set()
		}
	}
	return true
}

// DialHook does nothing.
func (o *own) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook notes a command.
func (o *own) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		number := o.sent()
		err := next(ctx, cmd)
		o.answered(number, cmd)
		return err
	}
}

// ProcessPipelineHook notes a pipeline.
func (o *own) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		number := o.sent()
		err := next(ctx, cmds)
		o.answered(number, cmds...)
		return err
	}
}

// appendMissed appends the keys that a command may have found missing. Of an
// error, or of a command that it does not know, it assumes the worst.
func appendMissed(keys []string, cmd redis.Cmder) []string {
	args := cmd.Args()
	switch cmd.Name() {
	case "set", "del", "pexpire", "scan", "info", "ping", "hello", "auth", "select", "client", "config", "script",
		"multi", "exec", "time", "dbsize", "command":
		return keys // publish no key-miss
	case "eval", "evalsha":
		for _, key := range args[min(3, len(args)):min(3+count(args), len(args))] {
			keys = appendKey(keys, key)
		}
		return keys
	case "pttl", "pexpiretime":
		if ttl, ok := number(cmd); ok && ttl != -2 {
			return keys
		}
	case "type":
		if c, ok := cmd.(*redis.StatusCmd); ok && c.Err() == nil && c.Val() != "none" {
			return keys
		}
	}
	if len(args) > 1 {
		keys = appendKey(keys, args[1])
	}
	return keys
}

func appendKey(keys []string, arg any) []string {
	if key, ok := arg.(string); ok && !strings.HasPrefix(key, reserved) {
		return append(keys, key)
	}
	return keys
}

// count is the number of keys of a script.
func count(args []any) int {
	if len(args) > 2 {
		if n, ok := args[2].(int); ok {
			return n
		}
	}
	return 0
}

// number is an answer that is one.
func number(cmd redis.Cmder) (int64, bool) {
	if cmd.Err() != nil {
		return 0, false
	}
	switch c := cmd.(type) {
	case *redis.IntCmd:
		return c.Val(), true
	case *redis.Cmd:
		n, err := c.Int64()
		return n, err == nil
	}
	return 0, false
}
