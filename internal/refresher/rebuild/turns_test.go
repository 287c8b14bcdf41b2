// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package rebuild

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// However many pools there are, no more loads run at once than a namespace may have, and
// a pool with much to do leaves its turn to one with little.
func TestLoadsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, done atomic.Int64
		turns := NewTurns(3)
		pools := make([]pool, 10)
		var first [10]atomic.Int64 // nanoseconds after the beginning
		began := time.Now()
		for i := range pools {
			pools[i].turns = turns
			pools[i].resize(5)
			for range 20 - 19*min(i, 1) { // one pool has 20, the others 1 each
				pools[i].run(func() {
					first[i].CompareAndSwap(0, int64(time.Since(began))+1)
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(time.Second)
					running.Add(-1)
					done.Add(1)
				})
			}
		}
		time.Sleep(20 * time.Second)
		if most.Load() != 3 || done.Load() != 29 {
			t.Errorf("%d at once, and %d of 29 done", most.Load(), done.Load())
		}
		for i := range first {
			if waited := time.Duration(first[i].Load()); waited > 5*time.Second {
				t.Errorf("pool %d has waited %s behind the one with many", i, waited)
			}
		}
		for i := range pools {
			pools[i].close()
		}
		synctest.Wait()
		if turns.free != 3 {
			t.Errorf("%d turns are left", turns.free)
		}
	})
}

// A pool that has ended while it waited for its turn keeps nobody else from one.
func TestATurnThatIsNotWantedAnyMoreIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(1)
		var a, b, c pool
		var ended atomic.Bool
		for _, s := range []*pool{&a, &b, &c} {
			s.turns = turns
			s.resize(1)
		}
		a.run(func() { time.Sleep(time.Second) })
		b.run(func() { t.Error("it was dropped") })
		c.run(func() { ended.Store(true) })
		b.mu.Lock()
		b.queue = nil
		b.mu.Unlock()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !ended.Load() || turns.free != 1 {
			t.Errorf("ended: %t; %d turns are left", ended.Load(), turns.free)
		}
		for _, s := range []*pool{&a, &b, &c} {
			s.close()
		}
	})
}
