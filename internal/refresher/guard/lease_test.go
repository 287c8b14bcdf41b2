// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

func TestALoadMayTakeLongerThanTheLease(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	const lease = time.Second
	g, other := New(rdb, lease), New(rdb, lease)
	l := one(t, g, "k", long).Lease
	for until := time.Now().Add(5 * lease / 2); time.Now().Before(until); time.Sleep(lease / 10) {
		if one(t, other, "k", long).Lease != nil {
			t.Fatal("somebody else got the guard")
		}
		if n := rdb.Eval(t.Context(), "return redis.call('SCRIPT', 'FLUSH')", nil).Err(); n == nil {
			t.Fatal("scripts can flush scripts")
		}
		must(t, rdb.ScriptFlush(t.Context()).Err()) // renewals bear it
	}
	if err := l.Context().Err(); err != nil {
		t.Fatalf("the lease's context ended: %v", context.Cause(l.Context()))
	}
	if did, err := l.Set(t.Context(), []byte("new"), time.Minute); did != Committed || err != nil {
		t.Errorf("the outcome is %d, error %v", did, err)
	}
	if l.Context().Err() == nil {
		t.Error("a settled lease's context goes on")
	}
	g.Wait()
}

func TestALoadEndsWhenItsGuardIsLost(t *testing.T) {
	t.Parallel()
	for sentence, lose := range map[string]string{
		"it expired or was deleted": "DEL " + guardOfK,
		"another has it":            "SET " + guardOfK + " theirs PX 60000",
		"all was flushed":           "FLUSHALL",
		"it is of another type":     "DEL " + guardOfK + "; RPUSH " + guardOfK + " a",
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			rdb := client(t, redistest.Start(t))
			g := New(rdb, 300*time.Millisecond)
			do(t, rdb, "SET k old EX 60")
			l := one(t, g, "k", long).Lease
			do(t, rdb, lose)
			wantEnd(t, l, ErrLost, 10*time.Second)
			if did, err := l.Set(t.Context(), []byte("new"), time.Minute); did != Lost && err == nil {
				t.Errorf("the outcome is %d, want Lost", did)
			}
			g.Wait()
		})
	}
}

// The client's own patience must not matter.
func TestALoadEndsWhenRedisHangsForALease(t *testing.T) {
	t.Parallel()
	for sentence, change := range map[string]func(*redis.Options){
		"a client that minds contexts": func(*redis.Options) {},
		"a patient client":             func(o *redis.Options) { o.ContextTimeoutEnabled, o.ReadTimeout = false, time.Minute },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			rdb := client(t, s, change)
			const lease = 300 * time.Millisecond
			g := New(rdb, lease)
			do(t, rdb, "SET k old EX 60")
			l := one(t, g, "k", long).Lease
			must(t, s.Freeze())
			wantEnd(t, l, ErrLost, 10*time.Second)
			time.Sleep(lease) // Redis counts from when it had the command
			must(t, s.Thaw())
			if did, err := l.Set(t.Context(), []byte("new"), time.Minute); did != Lost || err != nil {
				t.Errorf("the outcome is %d, error %v, want Lost", did, err)
			}
			wantValue(t, client(t, s), "k", "old")
			g.Wait()
		})
	}
}

func TestALeaseThatHadEndedBeforeAcquireWasAnswered(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := client(t, s, func(o *redis.Options) { o.ReadTimeout = time.Minute })
	warm(t, rdb)
	must(t, s.Freeze())
	const lease = 3 * time.Second
	time.AfterFunc(lease+100*time.Millisecond, func() { _ = s.Thaw() })
	l := one(t, New(rdb, lease), "k", long).Lease
	wantEnd(t, l, ErrLost, lease/4) // not a third of a lease later
	l.Release(t.Context())
	wantNoKey(t, rdb, guardOfK)
}

func TestALoadEndsWithItsHold(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	for sentence, lease := range map[string]time.Duration{
		"longer than a lease":  100 * time.Millisecond,
		"shorter than a lease": long,
	} {
		t.Run(sentence, func(t *testing.T) {
			g := New(rdb, lease)
			began := time.Now()
			l := one(t, g, "k", 400*time.Millisecond).Lease
			if lease < long {
				// On a busy machine a short lease may be lost before.
				<-l.Context().Done()
			} else {
				wantEnd(t, l, context.DeadlineExceeded, 10*time.Second)
			}
			if errors.Is(context.Cause(l.Context()), context.DeadlineExceeded) && time.Since(began) < 400*time.Millisecond {
				t.Errorf("it ended after %s", time.Since(began))
			}
			wantGone(t, rdb, guardOfK) // without being settled: it is renewed no more
			l.Release(t.Context())
			g.Wait()
		})
	}
}

func TestAContextThatEnds(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t))
	g := New(rdb, long)

	t.Run("before: nothing is taken", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.Acquire(ctx, []string{"k"}, long); err == nil {
			t.Error("it was taken")
		}
		wantNoKey(t, rdb, guardOfK)
	})
	for sentence, settle := range map[string]func(context.Context, *Lease) (Outcome, error){
		"during the load: Set still runs":    func(ctx context.Context, l *Lease) (Outcome, error) { return l.Set(ctx, []byte("new"), long) },
		"during the load: Delete still runs": func(ctx context.Context, l *Lease) (Outcome, error) { return l.Delete(ctx) },
		"during the load: Release still runs": func(ctx context.Context, l *Lease) (Outcome, error) {
			l.Release(ctx)
			return Committed, nil
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			do(t, rdb, "FLUSHALL; SET k old EX 60")
			ctx, cancel := context.WithCancel(t.Context())
			found, err := g.Acquire(ctx, []string{"k"}, long)
			must(t, err)
			l := found[0].Lease
			cancel()
			wantEnd(t, l, context.Canceled, 10*time.Second)
			wantValue(t, rdb, guardOfK, l.token) // until it is settled
			if did, err := settle(ctx, l); did != Committed || err != nil {
				t.Errorf("the outcome is %d, error %v", did, err)
			}
			wantNoKey(t, rdb, guardOfK)
		})
	}
}

func TestALeaseIsRenewedAtItsMaxmemory(t *testing.T) {
	t.Parallel()
	rdb := client(t, redistest.Start(t, "--maxmemory-policy", "noeviction"))
	const lease = time.Second
	l := one(t, New(rdb, lease), "k", long).Lease
	must(t, rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
	time.Sleep(3 * lease / 2)
	if l.Context().Err() != nil {
		t.Errorf("the lease ended: %v", context.Cause(l.Context()))
	}
	l.Release(t.Context())
	wantNoKey(t, rdb, guardOfK)
}

// Two replicas, 64 rebuilds at once of one key, and an application that writes
// and deletes it all the time.
func TestNeverTwoLeasesOfAKeyAtOnce(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	guards := []*Guard{New(client(t, s), long), New(client(t, s), long)}
	app := client(t, s)
	var (
		holders, committed, changed, writes atomic.Int32
		wg                                  sync.WaitGroup
	)
	for i := range 64 {
		wg.Go(func() {
			for range 4 {
				a := Acquisition{}
				for a.Lease == nil {
					found, err := guards[i%2].Acquire(t.Context(), []string{"k", fmt.Sprint("own", i)}, long)
					if err != nil {
						t.Error(err)
						return
					}
					if a = found[0]; found[1].Lease == nil {
						t.Error("a key that nobody else rebuilds is held")
						return
					}
					found[1].Lease.Release(t.Context())
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the guard at once", n)
				}
				if i%4 == 0 {
					// Within one millisecond, the same lifetime would go unseen.
					app.Set(t.Context(), "k", "app", time.Duration(writes.Add(1))*time.Hour)
				}
				holders.Add(-1)
				did, err := a.Lease.Set(t.Context(), []byte("new"), time.Minute)
				switch {
				case err != nil:
					t.Error(err)
				case did == Committed && i%4 != 0:
					committed.Add(1)
				case did == Changed && i%4 == 0:
					changed.Add(1)
				default:
					t.Errorf("the outcome is %d", did)
				}
			}
		})
	}
	wg.Wait()
	if committed.Load() != 48*4 || changed.Load() != 16*4 {
		t.Errorf("%d committed and %d gave way to the application", committed.Load(), changed.Load())
	}
	if left := app.Keys(t.Context(), Prefix+"*").Val(); len(left) > 0 {
		t.Errorf("guards are left: %q", left)
	}
	for _, g := range guards {
		g.Wait()
	}
}
