// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

// held are the leases of k0 to k(n-1), of which each lives for 60 s.
func held(t *testing.T, rdb *redis.Client, g *Guard, n int) []*Lease {
	t.Helper()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%d", i)
		must(t, rdb.Set(t.Context(), keys[i], "old", long).Err())
	}
	found, err := g.Acquire(t.Context(), keys, long)
	must(t, err)
	leases := make([]*Lease, n)
	for i, a := range found {
		leases[i] = a.Lease
		t.Cleanup(a.Lease.end)
	}
	return leases
}

func TestEachOfManyEndsForItself(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	g := New(rdb, long)
	const n = 3*MaxSettle + 5
	leases := held(t, rdb, g, n)
	all := make([]Settlement, n)
	want := make([]Outcome, n)
	left := make([]string, n)
	for i, l := range leases {
		switch want[i] = Committed; i % 6 {
		case 0:
			all[i], left[i] = Settlement{Lease: l, Value: []byte("new"), TTL: long}, "new"
		case 1:
			all[i] = Settlement{Lease: l, Delete: true}
		case 2:
			all[i], left[i] = Settlement{Lease: l}, "old"
		case 3: // written meanwhile
			do(t, rdb, "SET "+l.key+" app EX 70")
			all[i], want[i], left[i] = Settlement{Lease: l, Value: []byte("new"), TTL: long}, Changed, "app"
		case 4: // lost
			do(t, rdb, "DEL "+l.name)
			all[i], want[i], left[i] = Settlement{Lease: l, Delete: true}, Lost, "old"
		case 5: // another has it
			do(t, rdb, "SET "+l.name+" theirs")
			all[i], want[i], left[i] = Settlement{Lease: l, Value: []byte("new"), TTL: long}, Lost, "old"
		}
	}
	for i, s := range g.Settle(t.Context(), all) {
		if s.Err != nil || s.Outcome != want[i] {
			t.Errorf("%s ends with %d, error %v; want %d", leases[i].key, s.Outcome, s.Err, want[i])
		}
		if left[i] == "" {
			wantNoKey(t, rdb, leases[i].key)
		} else {
			wantValue(t, rdb, leases[i].key, left[i])
		}
		if i%6 != 5 {
			wantNoKey(t, rdb, leases[i].name)
		}
	}
}

// A key that the user may not write and one whose guard is no string harm nobody
// else, even if the guards cannot be read all at once.
func TestWhatIsRefusedForOneKeyIsDoneForTheOthers(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Client(t)
	do(t, admin, "ACL SETUSER limited on >secret allcommands -mget ~keepfresh:* ~k0 ~k2 %R~k1 ~k3")
	rdb := client(t, s, func(o *redis.Options) { o.Username, o.Password = "limited", "secret" })
	leases := held(t, admin, New(rdb, long), 4)
	do(t, admin, "DEL "+leases[3].name+"; RPUSH "+leases[3].name+" x")
	all := make([]Settlement, len(leases))
	for i, l := range leases {
		all[i] = Settlement{Lease: l, Value: []byte("new"), TTL: long}
	}
	settled := leases[0].hold.guard.Settle(t.Context(), all)
	for i, s := range settled {
		if ok := i%2 == 0; (s.Err == nil) != ok || ok && s.Outcome != Committed {
			t.Errorf("k%d ends with %d, error %v", i, s.Outcome, s.Err)
		}
		wantValue(t, admin, leases[i].key, map[bool]string{true: "new", false: "old"}[i%2 == 0])
	}
	if err := settled[1].Err; err != nil && !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("k1: %v", err)
	}
}

func TestAFullRedisTakesNoMoreOfABatch(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t, "--maxmemory-policy", "noeviction"))
	g := New(rdb, long)
	leases := held(t, rdb, g, 10)
	all := make([]Settlement, len(leases))
	for i, l := range leases {
		all[i] = Settlement{Lease: l, Value: make([]byte, 1<<20), TTL: long}
	}
	must(t, rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
	for i, s := range g.Settle(t.Context(), all) {
		if !isOOM(s.Err) {
			t.Errorf("k%d ends with %d, error %v", i, s.Outcome, s.Err)
		}
		wantValue(t, rdb, leases[i].key, "old")
		wantNoKey(t, rdb, leases[i].name)
	}
}

// Leases of one Acquire are renewed together, and only those that are not
// settled.
func TestManyAreRenewedTogether(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	g := New(rdb, 300*time.Millisecond)
	leases := held(t, rdb, g, MaxSettle+20)
	gone := leases[0]
	do(t, rdb, "DEL "+gone.name)
	leases[1].Release(t.Context())
	time.Sleep(700 * time.Millisecond)
	wantEnd(t, gone, ErrLost, 0)
	wantNoKey(t, rdb, leases[1].name)
	for _, l := range leases[2:] {
		if did, err := l.Set(t.Context(), []byte("new"), long); did != Committed || err != nil {
			t.Fatalf("%s ends with %d, error %v", l.key, did, err)
		}
	}
	if n := len(rdb.Keys(t.Context(), Prefix+"*").Val()); n != 0 {
		t.Errorf("%d guards are left", n)
	}
}
