// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
)

// The Redis of a machine: what it answers to a rebuild, without a socket. A hook
// of the client answers, so that guard, rebuilder and committer are the real ones.

var errGone = errors.New("EOF")

// machineRedis is a Store of one node.
type machineRedis struct {
	fakeStore
	store.Committer
	rdb *redisconn.Client
	up  atomic.Bool
}

func newMachineRedis(t testing.TB, m *machine) *machineRedis {
	rdb, err := redisconn.New(redisconn.Config{Address: "127.0.0.1:1"}, nil) // never dialled
	if err != nil {
		t.Fatal(err)
	}
	rdb.AddHook(m)
	r := &machineRedis{rdb: rdb}
	r.Guard = guard.New(rdb.Client, guard.DefaultLease)
	r.up.Store(true)
	return r
}

func (r *machineRedis) close() {
	r.users.Wait()
	r.Guard.Wait()
	_ = r.rdb.Close()
}

func (r *machineRedis) NodeOf(string) store.Node       { return r }
func (r *machineRedis) Up() bool                       { return r.up.Load() }
func (r *machineRedis) Failed(error)                   {}
func (r *machineRedis) Served()                        {}
func (r *machineRedis) Commit(commits ...store.Commit) { r.Committer.Commit(commits...) }
func (r *machineRedis) Acquire(ctx context.Context, keys []string, holdFor time.Duration) ([]guard.Acquisition, error) {
	return r.Guard.Acquire(ctx, keys, holdFor)
}

// DialHook never dials.
func (m *machine) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) { return nil, errGone }
}

// ProcessHook answers a command.
func (m *machine) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return m.serve(ctx, []redis.Cmder{cmd})
	}
}

// ProcessPipelineHook answers commands at one moment.
func (m *machine) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return m.serve
}

// serve takes a moment there and one back. What goes wrong on the way back has
// been done all the same.
func (m *machine) serve(ctx context.Context, cmds []redis.Cmder) error {
	there, back := m.latency(), m.latency()
	time.Sleep(there)
	err := ctx.Err()
	if err == nil && m.isDown() {
		err = errGone
	}
	if err == nil {
		m.answer(cmds)
		time.Sleep(back)
		if m.isDown() || m.chance(m.mood().unheard) {
			err = errGone
			m.lose(cmds)
		}
	}
	if err != nil {
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
	}
	return err
}

// lose loses the answers to settlements.
func (m *machine) lose(cmds []redis.Cmder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, cmd := range cmds {
		for _, a := range cmd.Args() {
			if name, ok := a.(string); ok && m.guards[name] != nil {
				m.unheard(m.guards[name])
			}
		}
	}
}

func (m *machine) answer(cmds []redis.Cmder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, cmd := range cmds {
		args := make([]string, len(cmd.Args()))
		for i, a := range cmd.Args() {
			if b, ok := a.([]byte); ok {
				a = string(b)
			}
			args[i] = fmt.Sprint(a)
		}
		switch cmd := cmd.(type) {
		case *redis.TimeCmd:
			cmd.SetVal(now)
		case *redis.BoolCmd: // SET key token EX|PX length NX
			length := millis(args[4])
			if args[3] == "ex" {
				length *= 1000
			}
			s := m.guards[args[1]]
			free := !now.Before(s.until)
			if free {
				s.token, s.until = args[2], now.Add(length)
			}
			cmd.SetVal(free)
			m.looked(s, free, now)
		case *redis.IntCmd: // PEXPIRETIME
			cmd.SetVal(m.keys[args[1]].version(m, now))
		case *redis.StatusCmd: // TYPE
			m.keys[args[1]].version(m, now)
			cmd.SetVal(orNone(m.keys[args[1]].kind))
		case *redis.Cmd:
			n, _ := strconv.Atoi(args[2])
			cmd.SetVal(m.script(args[3:3+n], args[3+n:], now))
		default:
			m.failed("Redis is asked for %s", args[0])
		}
	}
}

// script is one of the guard's, by how many arguments it has.
func (m *machine) script(keys, args []string, now time.Time) any {
	answers := make([]any, 0, len(keys))
	switch {
	case len(keys)%2 == 0 && len(args) == 2*len(keys): // settle
		for i := 0; i < len(args); i += 4 {
			answers = append(answers, int64(m.settle(m.guards[keys[i/2]], args[i+1], args[i+2], args[i] == m.guards[keys[i/2]].token, now)))
		}
	case len(keys) == 1 && len(args) == 1: // release
		if s := m.guards[keys[0]]; s.token == args[0] {
			s.until = now
		}
		return int64(1)
	default: // renew
		for i, name := range keys {
			s, mine := m.guards[name], int64(0)
			if s.token == args[i+1] && now.Before(s.until) {
				s.until, mine = now.Add(millis(args[0])), 1
			}
			answers = append(answers, mine)
		}
	}
	return answers
}

func (m *machine) settle(s *subject, version, ttl string, mine bool, now time.Time) (did guard.Outcome) {
	if ttl != "0" {
		defer func() { m.settled(s, did, s.version(m, now)) }()
	}
	if !mine || !now.Before(s.until) {
		return guard.Lost
	}
	s.until = now
	switch {
	case ttl == "0":
	case strconv.FormatInt(s.version(m, now), 10) != version:
		return guard.Changed
	case ttl == "-1":
		s.put("", time.Time{})
	default:
		s.put("string", now.Add(millis(ttl)))
	}
	return guard.Committed
}

// version is PEXPIRETIME. It is where a key expires.
func (s *subject) version(m *machine, now time.Time) int64 {
	if s.kind != "" && !s.expiry.IsZero() && !now.Before(s.expiry) {
		m.expired(s, now)
		s.put("", time.Time{})
	}
	switch {
	case s.kind == "":
		return guard.Missing
	case s.expiry.IsZero():
		return guard.NoExpiry
	}
	return s.expiry.UnixMilli()
}

// put writes a key, or deletes it. Of a key that is deleted nobody need remember
// when it was loaded.
func (s *subject) put(kind string, expiry time.Time) {
	s.kind, s.expiry, s.told = kind, expiry.Truncate(time.Millisecond), 0
	if kind == "" {
		s.rests, s.gone = time.Time{}, time.Now()
	}
}

// read is what PTTL says of a key, and the version that it speaks of.
func (s *subject) read(m *machine, now time.Time) (discover.Found, int64) {
	f, version := discover.Found{Key: s.name, At: now}, s.version(m, now)
	f.TTL = guard.TTL(version)
	if version >= 0 {
		f.TTL = s.expiry.Sub(now)
	}
	return f, version
}

func millis(s string) time.Duration {
	n, _ := strconv.Atoi(s)
	return time.Duration(n) * time.Millisecond
}

func orNone(kind string) string {
	if kind == "" {
		return "none"
	}
	return kind
}
