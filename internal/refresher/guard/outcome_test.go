// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

const guardOfK = "keepfresh:guard:{k}"

// do runs commands as an application would: words apart by spaces, commands by
// semicolons.
func do(t testing.TB, rdb *redis.Client, commands string) {
	t.Helper()
	for command := range strings.SplitSeq(commands, ";") {
		var args []any
		for _, word := range strings.Fields(command) {
			args = append(args, word)
		}
		if len(args) > 0 {
			must(t, rdb.Do(t.Context(), args...).Err())
		}
	}
}

// What an application does to the key k during a load decides what becomes of
// the loaded value; left is what is in k at the end ("" for nothing, "new" for
// what was loaded).
func TestOutcome(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	g := New(rdb, long)
	for sentence, c := range map[string]struct {
		before, during string
		want           Outcome
		left           string
	}{
		"nothing happens":                           {"SET k old EX 60", "", Committed, "new"},
		"nothing happens to a missing key":          {"", "", Committed, "new"},
		"nothing happens to a key without expiry":   {"SET k old", "", Committed, "new"},
		"the key is read":                           {"SET k old EX 60", "GET k; TTL k; EXISTS k; OBJECT IDLETIME k", Committed, "new"},
		"it is written":                             {"SET k old EX 60", "SET k app EX 70", Changed, "app"},
		"it is written without expiry":              {"SET k old EX 60", "SET k app", Changed, "app"},
		"it is deleted":                             {"SET k old EX 60", "DEL k", Changed, ""},
		"it is unlinked":                            {"SET k old EX 60", "UNLINK k", Changed, ""},
		"it expires":                                {"SET k old EX 60", "PEXPIRE k 0", Changed, ""},
		"it is deleted and written":                 {"SET k old EX 60", "DEL k; SET k app EX 70", Changed, "app"},
		"its life is prolonged":                     {"SET k old EX 60", "EXPIRE k 90", Changed, "old"},
		"its life is shortened":                     {"SET k old EX 60", "EXPIRE k 30", Changed, "old"},
		"it loses its expiry":                       {"SET k old EX 60", "PERSIST k", Changed, "old"},
		"it gets an expiry":                         {"SET k old", "EXPIRE k 30", Changed, "old"},
		"a missing key is filled":                   {"", "SET k app EX 60", Changed, "app"},
		"a missing key is filled without expiry":    {"", "SET k app", Changed, "app"},
		"another key takes its name":                {"SET k old EX 60; SET x app EX 70", "RENAME x k", Changed, "app"},
		"the guard ends":                            {"SET k old EX 60", "DEL " + guardOfK, Lost, "old"},
		"the guard ends and the key is deleted":     {"SET k old EX 60", "DEL k " + guardOfK, Lost, ""},
		"somebody else takes the guard":             {"SET k old EX 60", "SET " + guardOfK + " theirs PX 60000", Lost, "old"},
		"all is flushed":                            {"SET k old EX 60", "FLUSHALL", Lost, ""},
		"scripts are flushed":                       {"SET k old EX 60", "SCRIPT FLUSH", Committed, "new"},
		"an expiry beyond Go's durations":           {"SET k old EXAT 99999999999", "", Committed, "new"},
		"such an expiry changes":                    {"SET k old EXAT 99999999999", "EXPIREAT k 99999999998", Changed, "old"},
		"a write that keeps the expiry goes unseen": {"SET k old EX 60", "SET k app KEEPTTL", Committed, "new"},
	} {
		t.Run(sentence, func(t *testing.T) {
			for _, deletes := range []bool{false, true} {
				do(t, rdb, "FLUSHALL;"+c.before)
				l := one(t, g, "k", long).Lease
				do(t, rdb, c.during)
				settle := func() (Outcome, error) { return l.Set(t.Context(), []byte("new"), 50*time.Second) }
				left := c.left
				if deletes {
					settle = func() (Outcome, error) { return l.Delete(t.Context()) }
					left = strings.TrimPrefix(left, "new")
				}
				if got, err := settle(); err != nil || got != c.want {
					t.Errorf("the outcome is %d, error %v; want %d", got, err, c.want)
				}
				switch left {
				case "":
					wantNoKey(t, rdb, "k")
				case "new":
					wantValue(t, rdb, "k", left)
					if ttl := rdb.PTTL(t.Context(), "k").Val(); ttl < 40*time.Second || ttl > 50*time.Second {
						t.Errorf("it was written to live for %s, want 50s", ttl)
					}
				default:
					wantValue(t, rdb, "k", left)
				}
				if strings.Contains(c.during, "theirs") {
					wantValue(t, rdb, guardOfK, "theirs")
				} else {
					wantNoKey(t, rdb, guardOfK)
				}
			}
		})
	}
}

// A key that is not a string can be there at the end only if it was made during
// the load, or if the caller ignores the Type that Acquire reports.
func TestAKeyOfAnotherTypeIsLeftAlone(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	g := New(rdb, long)

	do(t, rdb, "RPUSH k a b; EXPIRE k 60")
	a := one(t, g, "k", long)
	if a.Type != "list" {
		t.Errorf("the type is %q, want list", a.Type)
	}
	a.Lease.Release(t.Context())
	wantNoKey(t, rdb, guardOfK)

	for _, before := range []string{"", "SET k old EX 60"} {
		do(t, rdb, "FLUSHALL;"+before)
		l := one(t, g, "k", long).Lease
		do(t, rdb, "DEL k; RPUSH k a b")
		if got, err := l.Set(t.Context(), []byte("new"), time.Minute); got != Changed || err != nil {
			t.Errorf("a list was made during the load, and the outcome is %d, error %v", got, err)
		}
		if n := rdb.LLen(t.Context(), "k").Val(); n != 2 {
			t.Errorf("the list has %d items", n)
		}
	}
}

func TestALeaseSettlesItsOwnGuardOnly(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	g := New(rdb, long)
	for sentence, settle := range map[string]func(*Lease){
		"Set":     func(l *Lease) { _, _ = l.Set(t.Context(), []byte("new"), time.Minute) },
		"Delete":  func(l *Lease) { _, _ = l.Delete(t.Context()) },
		"Release": func(l *Lease) { l.Release(t.Context()) },
	} {
		t.Run(sentence, func(t *testing.T) {
			do(t, rdb, "FLUSHALL; SET k old EX 60")
			first := one(t, g, "k", long).Lease
			other := one(t, g, "other", long).Lease
			do(t, rdb, "DEL "+guardOfK)
			second := one(t, g, "k", long).Lease
			settle(first)
			wantValue(t, rdb, guardOfK, second.token)
			wantValue(t, rdb, Name("other"), other.token)
			wantValue(t, rdb, "k", "old")
			settle(second)
			wantNoKey(t, rdb, guardOfK)
			settle(second) // does no harm
			wantValue(t, rdb, Name("other"), other.token)
		})
	}
}

func TestRedisAtItsMaxmemory(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t, "--maxmemory-policy", "noeviction"))
	g := New(rdb, long)
	value := []byte(strings.Repeat("x", 1<<20))
	full := func(is bool) {
		limit := map[bool]string{true: "1", false: "0"}[is]
		must(t, rdb.ConfigSet(t.Context(), "maxmemory", limit).Err())
	}

	do(t, rdb, "SET k old EX 60")
	l := one(t, g, "k", long).Lease
	full(true)
	if _, err := l.Set(t.Context(), value, time.Minute); !isOOM(err) {
		t.Errorf("a write over maxmemory ended with %v", err)
	}
	wantNoKey(t, rdb, guardOfK)
	wantValue(t, rdb, "k", "old")

	if _, err := g.Acquire(t.Context(), []string{"k", "other"}, long); !isOOM(err) {
		t.Errorf("guards over maxmemory: %v", err)
	}
	wantNoKey(t, rdb, guardOfK)

	full(false)
	l = one(t, g, "k", long).Lease
	full(true)
	if got, err := l.Delete(t.Context()); got != Committed || err != nil {
		t.Errorf("deleting while memory is full: %d, %v", got, err)
	}
	wantNoKey(t, rdb, "k")
}
