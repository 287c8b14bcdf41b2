// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package rebuild

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// All work is done, and never more of it at once than there are workers, however
// their number changes.
func TestThePoolBoundsWhatRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s pool
		var running, most, done atomic.Int64
		work := func() {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			done.Add(1)
		}
		for range 30 {
			s.run(work)
		}
		synctest.Wait()
		if running.Load() != 0 {
			t.Fatal("work was begun without a worker")
		}
		for _, limit := range []int{2, 5, 1} {
			s.resize(limit)
			time.Sleep(1500 * time.Millisecond) // those of the former limit are over
			most.Store(0)
			time.Sleep(2 * time.Second)
			if got := most.Load(); got != int64(limit) {
				t.Errorf("%d at once with %d workers", got, limit)
			}
		}
		s.resize(4)
		time.Sleep(time.Minute) // their goroutines have ended meanwhile
		s.run(work)
		time.Sleep(2 * time.Second)
		if done.Load() != 31 {
			t.Errorf("%d of 31 done", done.Load())
		}
		s.run(work)
		s.close() // synctest fails if a goroutine stays
		time.Sleep(2 * time.Second)
		if done.Load() != 32 {
			t.Errorf("%d of 32 done", done.Load())
		}
	})
}
