// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// MaxSettle is how many leases one script settles: Redis serves nobody else
// while it runs.
const MaxSettle = 128

// Settlement is how a lease is to end: by writing Value with the lifetime TTL,
// by deleting the key, or, if neither is said, by letting go of the guard.
type Settlement struct {
	Lease  *Lease
	Value  []byte
	TTL    time.Duration
	Delete bool
}

// Outcome is how a rebuild ended.
type Outcome int

// The outcomes of a settlement.
const (
	Committed Outcome = iota + 1
	Changed           // the key was written or deleted meanwhile, and was left as it is
	Lost              // somebody else may hold the guard, and nothing was written
)

// Settled is what became of a settlement. With an error the key may or may not
// have been written, and the guard ends with its lease if it was not let go of.
type Settled struct {
	Outcome Outcome
	Err     error
}

// Set writes value with the lifetime ttl and releases the guard, if the guard
// is still held and the key is what it was. It runs even if ctx has ended.
func (l *Lease) Set(ctx context.Context, value []byte, ttl time.Duration) (Outcome, error) {
	return l.settle(ctx, Settlement{Lease: l, Value: value, TTL: ttl})
}

// Delete deletes the key and releases the guard, if the guard is still held and
// the key is what it was. It runs even if ctx has ended.
func (l *Lease) Delete(ctx context.Context) (Outcome, error) {
	return l.settle(ctx, Settlement{Lease: l, Delete: true})
}

// Release lets go of the guard if it is still held. Where Redis cannot be
// reached the guard ends with its lease. It runs even if ctx has ended.
func (l *Lease) Release(ctx context.Context) {
	_, _ = l.settle(ctx, Settlement{Lease: l})
}

func (l *Lease) settle(ctx context.Context, s Settlement) (Outcome, error) {
	done := l.hold.guard.Settle(ctx, []Settlement{s})[0]
	return done.Outcome, done.Err
}

// Settle ends leases, each as it says and whatever becomes of the others, in
// scripts of up to MaxSettle. It runs even if ctx has ended.
func (g *Guard) Settle(ctx context.Context, all []Settlement) []Settled {
	for _, s := range all {
		s.Lease.end()
	}
	settled := make([]Settled, len(all))
	for begin := 0; begin < len(all); begin += MaxSettle {
		end := min(begin+MaxSettle, len(all))
		g.settle(ctx, all[begin:end], settled[begin:end])
	}
	return settled
}

func (g *Guard) settle(ctx context.Context, some []Settlement, settled []Settled) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	answers, err := g.run(bounded, some)
	switch {
	case err == nil:
		for i, answer := range answers {
			settled[i] = outcomeOf(answer)
		}
	case len(some) > 1 && refused(err): // for the sake of one key, maybe
		for i := range some {
			g.settle(ctx, some[i:i+1], settled[i:i+1])
		}
	default:
		leases := make([]*Lease, len(some))
		for i, s := range some {
			settled[i].Err = fmt.Errorf("settle the guard: %w", err)
			leases[i] = s.Lease
		}
		g.release(ctx, leases)
	}
}

func (g *Guard) run(ctx context.Context, some []Settlement) ([]any, error) {
	keys, args := make([]string, 0, 2*len(some)), make([]any, 0, 4*len(some))
	for _, s := range some {
		l := s.Lease
		switch {
		case s.Delete:
			keys, args = append(keys, l.name, l.key), append(args, l.token, l.version, -1, "")
		case s.TTL > 0:
			keys, args = append(keys, l.name, l.key), append(args, l.token, l.version, s.TTL.Milliseconds(), s.Value)
		default: // names only the guard: the user may lack the right to the key
			keys, args = append(keys, l.name, l.name), append(args, l.token, l.version, 0, "")
		}
	}
	answers, err := settleScript.Run(ctx, g.rdb, keys, args...).Slice()
	if err == nil && len(answers) != len(some) {
		err = fmt.Errorf("%d answers to %d settlements", len(answers), len(some))
	}
	return answers, err
}

// outcomeOf reads what the script answers for one lease.
func outcomeOf(answer any) Settled {
	switch is := answer.(type) {
	case int64:
		return Settled{Outcome: Outcome(is)}
	case string:
		return Settled{Err: fmt.Errorf("settle the guard: %w", refusal(is))}
	}
	return Settled{Err: fmt.Errorf("settle the guard: unexpected answer %v", answer)}
}

// refusal is what Redis answers with if it refuses something for one key. The
// script sends its text, since go-redis reads no errors within a reply.
type refusal string

func (r refusal) Error() string { return string(r) }

// RedisError makes it a redis.Error.
func (refusal) RedisError() {}

// refused says that Redis answered, and did nothing.
func refused(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// KEYS are a guard and its key, again and again; ARGV are token, version,
// lifetime (0: leave the key alone, -1: delete it) and value. The answers are
// Outcomes, or what an error says. pcall, since what is refused for one key must
// not end the script for the others. All values are written before guards are let
// go of, since a script that has written something is no longer held to maxmemory;
// hence it also writes nothing more after a write that was refused for that. The
// guards are read and go all at once, which costs half as much as one by one.
var settleScript = redis.NewScript(`
local KEYS, ARGV, pcall, sub = KEYS, ARGV, redis.pcall, string.sub
local answers, names, guards, held, full = {}, {}, {}, {}, nil
local function refused(did) return type(did) == 'table' and did.err end
local function write(key, ttl, value)
  if ttl == '0' then return 0 end
  if ttl == '-1' then return pcall('DEL', key) end
  local did = full or pcall('SET', key, value, 'PX', ttl)
  if did.err and sub(did.err, 1, 3) == 'OOM' then full = did end
  return did
end
for n = 1, #KEYS / 2 do names[n] = KEYS[2 * n - 1] end
local tokens = pcall('MGET', unpack(names))
if tokens.err then
  for n, guard in ipairs(names) do tokens[n] = pcall('GET', guard) end
end
for n, guard in ipairs(names) do
  local i, key, token = 4 * n, KEYS[2 * n], tokens[n]
  local answer
  if token == ARGV[i - 3] then
    guards[#guards + 1], held[#held + 1] = guard, n
    local ttl = ARGV[i - 1]
    local version = ttl == '0' or pcall('PEXPIRETIME', key)
    if version == true or version == tonumber(ARGV[i - 2]) then
      answer = refused(write(key, ttl, ARGV[i])) or 1
    else
      answer = refused(version) or 2
    end
  else
    answer = refused(token) or 3
  end
  answers[n] = answer
end
if #guards > 0 and refused(pcall('DEL', unpack(guards))) then
  for i, guard in ipairs(guards) do
    local did = pcall('DEL', guard)
    if refused(did) then answers[held[i]] = did.err end
  end
end
return answers
`)

// release lets go of those guards that are held, all in one pipeline. It runs
// even if ctx has ended.
func (g *Guard) release(ctx context.Context, leases []*Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	_, _ = g.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, l := range leases {
			releaseScript.Eval(ctx, p, []string{l.name}, l.token)
		}
		return nil
	})
}

var releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 3 end
redis.call('DEL', KEYS[1])
return 1
`)
