// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// life is how long a key of the benchmarks waits.
const life = 5 * time.Minute

// filled is a schedule of keys with names of 24 bytes that come due evenly over
// a life.
func filled(b *testing.B, n int, start time.Time) *Schedule {
	s := New("product:", start)
	for i := range n {
		id := s.Add(fmt.Sprintf("product:%016d", i))
		s.SetExpiry(id, start.Add(2*life))
		s.Wait(id, start.Add(rand.N(life)))
	}
	if s.Len() != n {
		b.Fatal(s.Len())
	}
	return s
}

// BenchmarkCycle is a key's way through the schedule: it comes, is due, is
// popped, is found again by its name and waits anew.
func BenchmarkCycle(b *testing.B) {
	for _, n := range []int{10, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("of %d", n), func(b *testing.B) {
			start := time.Now()
			s := filled(b, n, start)
			now := start
			b.ResetTimer()
			var (
				ids   [128]ID
				names [128]string
			)
			for done := 0; done < b.N; {
				now, _ = s.Next(now)
				for k := s.TakeReady(now, ids[:]); k > 0; k = s.TakeReady(now, ids[:]) {
					for _, id := range ids[:k] {
						s.MakeDue(id)
					}
				}
				for k := s.Pop(ids[:]); k > 0; k = s.Pop(ids[:]) {
					s.Names(ids[:k], names[:0])
					for i, id := range ids[:k] {
						id = s.FindAgain(names[i], id)
						s.SetExpiry(id, now.Add(2*life))
						s.Wait(id, now.Add(life))
					}
					done += k
				}
			}
		})
	}
}

// BenchmarkBytesPerKey is what a schedule takes of the heap.
func BenchmarkBytesPerKey(b *testing.B) {
	for _, n := range []int{10, 1000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("of %d", n), func(b *testing.B) {
			for range b.N {
				before := heap()
				s := filled(b, n, time.Now())
				b.ReportMetric(float64(heap()-before)/float64(n), "B/key")
				runtime.KeepAlive(s)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkAddRemove is a key's coming and going, among a million.
func BenchmarkAddRemove(b *testing.B) {
	start := time.Now()
	s := filled(b, 1_000_000, start)
	names := make([]string, 1<<16)
	for i := range names {
		names[i] = fmt.Sprintf("product:new%013d", i)
	}
	b.ResetTimer()
	for i := range b.N {
		name := names[i%len(names)]
		if id := s.Find(name); id != 0 {
			s.Remove(id)
		} else {
			s.Wait(s.Add(name), start.Add(life))
		}
	}
}
