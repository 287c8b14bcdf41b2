// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

func TestAcquireSaysWhatAKeyIs(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	g := New(rdb, long)
	for sentence, c := range map[string]struct {
		before string
		ttl    time.Duration // or as much as 5 s less
		kind   string
	}{
		"missing":                {"", Missing, "none"},
		"without expiry":         {"SET k v", NoExpiry, "string"},
		"with one":               {"SET k v EX 60", time.Minute, "string"},
		"with one in the past":   {"SET k v EXAT 1", Missing, "none"},
		"a hash":                 {"HSET k f v; EXPIRE k 60", time.Minute, "hash"},
		"with one in 9000 years": {"SET k v EXAT 300000000000", math.MaxInt64, "string"},
		"with one in 280 years":  {"SET k v EX 8830080000", 8830080000 * time.Second, "string"},
	} {
		t.Run(sentence, func(t *testing.T) {
			do(t, rdb, "FLUSHALL;"+c.before)
			a := one(t, g, "k", long)
			if a.TTL > c.ttl || a.TTL < c.ttl-5*time.Second {
				t.Errorf("the TTL is %d, want %d", a.TTL, c.ttl)
			}
			if a.Type != c.kind {
				t.Errorf("the type is %q, want %q", a.Type, c.kind)
			}
			version, err := rdb.Do(t.Context(), "PEXPIRETIME", "k").Int64()
			if must(t, err); a.Version != version {
				t.Errorf("the version is %d, and PEXPIRETIME %d", a.Version, version)
			}
		})
	}
}

func TestAcquireManyKeys(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	g := New(rdb, long)
	must(t, rdb.Set(t.Context(), Name("b"), "theirs", time.Minute).Err())
	found, err := g.Acquire(t.Context(), []string{"a", "b", "a}", "{c}", "a"}, long)
	must(t, err)
	var got []bool
	for _, a := range found {
		got = append(got, a.Lease != nil)
		if a.Lease != nil {
			defer a.Lease.Release(t.Context())
		}
	}
	if want := []bool{true, false, true, true, false}; !slices.Equal(got, want) {
		t.Errorf("leases %v, want %v: the second is held by another, the last by the first", got, want)
	}

	found, err = g.Acquire(t.Context(), nil, long)
	if len(found) != 0 || err != nil {
		t.Errorf("acquiring nothing: %v, %v", found, err)
	}
}

// recorder notes the commands of each pipeline.
type recorder struct {
	redis.Hook
	pipelines [][]string
}

func (r *recorder) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (r *recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		var names []string
		for _, c := range cmds {
			names = append(names, strings.ToUpper(c.Name()))
		}
		r.pipelines = append(r.pipelines, names)
		return next(ctx, cmds)
	}
}

func TestAKeyIsReadOnceItsGuardIsHeldInOneRoundTrip(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	warm(t, rdb)
	r := &recorder{}
	rdb.AddHook(r)
	one(t, New(rdb, long), "k", long).Lease.Release(t.Context())
	if want := [][]string{{"TIME", "SET", "PEXPIRETIME", "TYPE"}}; fmt.Sprint(r.pipelines) != fmt.Sprint(want) {
		t.Errorf("the pipelines were %v, want %v", r.pipelines, want)
	}
}

// What redis-py, redsync, bsm/redislock and node-redlock send.
func TestOtherLanguagesTakePart(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	g := New(rdb, long)
	take := func() bool {
		err := rdb.Do(t.Context(), "SET", guardOfK, "theirs", "NX", "PX", 60000).Err()
		if err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
		return err == nil
	}
	release := func(token string) bool {
		const script = `if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end`
		n, err := rdb.Eval(t.Context(), script, []string{guardOfK}, token).Int()
		must(t, err)
		return n == 1
	}

	if !take() {
		t.Fatal("they could not take a free guard")
	}
	if a := one(t, g, "k", long); a.Lease != nil {
		t.Error("we took their guard")
	}
	if !release("theirs") {
		t.Error("they could not release their guard")
	}

	l := one(t, g, "k", long).Lease
	if take() {
		t.Error("they took our guard")
	}
	if release("theirs") {
		t.Error("they released our guard")
	}
	if kind := rdb.Type(t.Context(), guardOfK).Val(); kind != "string" {
		t.Errorf("our guard is a %s, want a plain string", kind)
	}
	if ttl := rdb.PTTL(t.Context(), guardOfK).Val(); ttl <= 0 || ttl > long {
		t.Errorf("our guard lives for %s, want at most %s", ttl, long)
	}
	l.Release(t.Context())
	if !take() {
		t.Error("they could not take the guard that we had released")
	}
}

func TestNoLockIsHeldForNoTime(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	for sentence, c := range map[string]struct{ lease, hold time.Duration }{
		"a hold of 0":               {long, 0},
		"a hold that is over":       {long, -1},
		"a lease of 0":              {0, long},
		"a lease under Redis' unit": {time.Microsecond, long},
	} {
		t.Run(sentence, func(t *testing.T) {
			if _, err := New(rdb, c.lease).Acquire(t.Context(), []string{"k"}, c.hold); err == nil {
				t.Error("it was taken")
			}
			wantNoKey(t, rdb, guardOfK)
		})
	}
}

func TestRightsThatAreMissing(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := client(t, s)
	const lease = 400 * time.Millisecond
	for i, c := range []struct {
		sentence, rights string
		acquired         bool // the error comes from Set only
		stays            bool // the guard can only end with its lease
	}{
		{"no SET", "~* +@all -set", false, false},
		{"no PEXPIRETIME", "~* +@all -pexpiretime", false, false},
		{"no TIME", "~* +@all -time", false, false},
		{"no TYPE", "~* +@all -type", false, false},
		{"no right to one of the keys", "~a ~keepfresh:* +@all", false, false},
		{"no right to guards", "~a ~b +@all", false, false},
		{"no right to write keys", "%R~a %R~b ~keepfresh:* +@all", true, false},
		{"no scripts", "~* +@all -evalsha -eval", true, true},
		{"neither MGET nor GET", "~* +@all -mget -get", true, true},
		{"no DEL", "~* +@all -del", true, true},
		{"neither scripts nor TYPE", "~* +@all -evalsha -eval -type", false, true},
		{"nothing", "-@all", false, false},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			user := fmt.Sprintf("user%d", i)
			do(t, admin, "FLUSHALL; SET a old EX 60; SET b old EX 60; ACL SETUSER "+user+" on nopass "+c.rights)
			g := New(client(t, s, func(o *redis.Options) { o.Username, o.Password = user, "any" }), lease)
			found, err := g.Acquire(t.Context(), []string{"a", "b"}, long)
			if (err == nil) != c.acquired {
				t.Fatalf("Acquire ended with the error %v", err)
			}
			for _, a := range found {
				if did, err := a.Lease.Set(t.Context(), []byte("new"), time.Minute); err == nil {
					t.Errorf("Set did not fail: %d", did)
				}
			}
			for _, name := range []string{Name("a"), Name("b")} {
				if c.stays {
					wantGone(t, admin, name)
				}
				wantNoKey(t, admin, name)
			}
		})
	}
}

// wantGone waits for a key to expire.
func wantGone(t testing.TB, rdb *redis.Client, key string) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); rdb.Exists(t.Context(), key).Val() > 0; {
		if time.Now().After(until) {
			t.Fatalf("%q has not expired", key)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// deaf is a connection that breaks instead of handing over an answer, once it
// is told to.
type deaf struct {
	net.Conn
	after func() bool
}

func (d deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if n > 0 && d.after() {
		_ = d.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func TestAConnectionThatBreaksDuringAcquireLeavesNoLock(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var breaks atomic.Bool
	rdb := client(t, s, func(o *redis.Options) {
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, addr)
			return deaf{conn, func() bool { return breaks.CompareAndSwap(true, false) }}, err
		}
	})
	warm(t, rdb)
	breaks.Store(true)
	var keys []string
	for i := range 128 {
		keys = append(keys, fmt.Sprint("k", i))
	}
	if _, err := New(rdb, long).Acquire(t.Context(), keys, long); err == nil {
		t.Error("there was no error")
	}
	if breaks.Load() {
		t.Fatal("the connection did not break")
	}
	if left := rdb.Keys(t.Context(), "*").Val(); len(left) > 0 {
		t.Errorf("%d guards are left", len(left))
	}
}

func TestAcquireWithoutRedisEndsSoon(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := client(t, s, func(o *redis.Options) { o.ReadTimeout = 200 * time.Millisecond })
	warm(t, rdb)
	keys := make([]string, 128)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	must(t, s.Freeze())
	began := time.Now()
	_, err := New(rdb, long).Acquire(t.Context(), keys, long)
	if took := time.Since(began); err == nil || took > settleTimeout+5*time.Second {
		t.Errorf("a frozen Redis: error %v after %s", err, took)
	}
	must(t, s.Thaw())
	s.Stop()
	if _, err := New(rdb, long).Acquire(t.Context(), keys, long); err == nil {
		t.Error("a Redis that is gone gave guards")
	}
}
