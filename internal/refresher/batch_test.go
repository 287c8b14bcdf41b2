// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// batchLane is a lane of keys of a batch loader that nothing runs.
func batchLane(t *testing.T, keys, size int, expire, dueAfter time.Duration) *lane {
	set, err := compile(Keyspace{Name: "products", Key: "{id}", Expire: expire, DueAfter: dueAfter, GuardTimeout: time.Second,
		MaxConcurrent: 6, Loader: &httploader.Config{URL: "http://shop/x", Timeout: time.Second, BatchSize: size}}, loader.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.loader.Close)
	l := laneOf(keys, set.MaxConcurrent)
	l.set, l.eng = set, New(Options{})
	return l
}

// callsFor are the calls for jobs that are all found to be due.
func callsFor(jobs []job) [][]acquired {
	due := make([]acquired, len(jobs))
	for i, j := range jobs {
		due[i] = acquired{result: result{job: j}}
	}
	return batches(due)
}

// Keys come in batches that are full, though each has a time of its own; and none
// comes before its earliest time, nor when it is stale.
func TestBatchesAreFull(t *testing.T) {
	const keys, size, lives = 4000, 100, 20
	l := batchLane(t, keys, size, 20*time.Second, 12400*time.Millisecond)
	now := time.Now()
	l.epoch = now
	for id := range l.keys.All() { // written at any time
		l.reschedule(id, time.Duration(7600+int(id)*3)*time.Millisecond, now)
	}
	tm := l.set.timing
	calls, loads := 0, 0
	for end := now.Add(lives * tm.staleAge); now.Before(end); now = now.Add(schedule.Tick) {
		l.come(now)
		for l.keys.Due() > 0 {
			jobs, n := l.takeDue(size, 1, now)
			calls, loads = calls+n, loads+len(jobs)
			for _, j := range jobs {
				left := l.keys.Left(j.id, now)
				if !tm.due(left-time.Millisecond, 0) {
					t.Fatalf("a key comes %s before it is stale", tm.untilStale(left))
				}
				if tm.untilStale(left) < -2*schedule.Tick {
					t.Fatalf("a key comes %s after it is stale", -tm.untilStale(left))
				}
				l.keys.Unmark(j.id, busy)
				l.commit(j.id, result{job: j, ttl: tm.expire}, now.Add(5*time.Millisecond))
			}
		}
	}
	t.Logf("%d loads in %d calls, %.1f a call", loads, calls, float64(loads)/float64(calls))
	if loads < 50*calls {
		t.Errorf("%d loads in %d calls, %.1f a call, want 50 at least", loads, calls, float64(loads)/float64(calls))
	}
	if most := keys * lives * 107 / 100; loads > most {
		t.Errorf("%d loads, want %d at most", loads, most)
	}
}

func TestWhatFailsIsAskedForApart(t *testing.T) {
	const size = 16
	now := time.Now()
	l := batchLane(t, 40, size, time.Minute, 40*time.Second)
	failures := map[string]int{}
	for id := range l.keys.All() {
		key := l.keys.Name(id)
		failures[key] = int(id) % 8 % 6 // 0 to 5; 0 and 1 twice
		for range failures[key] {
			l.next(id, result{job: job{key: key}, outcome: failed, took: time.Second, suspect: true}, now)
		}
	}
	due := func() {
		for id := range l.keys.All() {
			l.keys.Unmark(id, busy)
			l.keys.MakeDue(id)
		}
	}
	due()
	jobs, n := l.takeDue(40, 1000, now)
	calls := callsFor(jobs)
	if len(jobs) != 40 || len(calls) != n {
		t.Errorf("%d jobs in %d calls, want 40 in %d", len(jobs), len(calls), n)
	}
	for _, c := range calls {
		for _, a := range c {
			if most := size >> failures[a.key]; len(c) > max(1, most) || failures[a.key] != failures[c[0].key] {
				t.Errorf("%s, which failed %d times, in a batch of %d with one that failed %d times", a.key, failures[a.key], len(c), failures[c[0].key])
			}
		}
	}
	due()
	jobs, n = l.takeDue(40, 3, now)
	if got := len(callsFor(jobs)); n != 3 || got != 3 || len(jobs)+l.keys.Due() != 40 {
		t.Errorf("%d jobs for %d calls, said to be %d, want 3; %d of 40 are left", len(jobs), got, n, l.keys.Due())
	}
}
