// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// life is how long a key of the schedule waits.
const life = 5 * time.Minute

// filled is a schedule of n keys of 24 bytes, which come in no order of theirs.
func filled(n int, start time.Time) *schedule.Schedule {
	s := schedule.New("product:", start)
	for i := range n {
		id := s.Add(keyOf(i))
		s.SetExpiry(id, start.Add(2*life))
		s.Wait(id, start.Add(rand.N(life)))
	}
	return s
}

var scheduleBytes = benchmark{
	rows: map[string]bar{"schedule_bytes_per_key": {56, false}},
	run: func(context.Context, *stage) (map[string]measured, error) {
		const n = 10 * million
		var found []float64
		for range rounds {
			before := heap()
			s := filled(n, time.Now())
			found = append(found, float64(heap()-before)/n)
			runtime.KeepAlive(s)
		}
		return map[string]measured{"schedule_bytes_per_key": {median(found), "B, of 10 million keys of 24 B"}}, nil
	},
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cycles measures a key's way through a schedule of n: it comes, is due, is
// popped by its expiry, is found again by its name, and waits anew. As in a lane,
// all that have come become due, and are popped some at a time.
func cycles(row string, n int, limit float64) benchmark {
	return benchmark{
		rows: map[string]bar{row: {limit, false}},
		run: func(context.Context, *stage) (map[string]measured, error) {
			now := time.Now()
			s := filled(n, now)
			var found []float64
			const step = 10 * million
			for range rounds {
				began := time.Now()
				done := 0
				for done < step {
					now, _ = s.Next(now)
					done += cycle(s, now)
				}
				found = append(found, float64(time.Since(began))/float64(done))
			}
			fmt.Printf("bench:   %.0f ns\n", found)
			return map[string]measured{row: {median(found), "ns"}}, nil
		},
	}
}

// cycle has the keys that come by now wait anew, and says how many there were.
func cycle(s *schedule.Schedule, now time.Time) (n int) {
	var (
		some  [depth]schedule.ID
		names [depth]string
	)
	for k := s.TakeReady(now, some[:]); k > 0; k = s.TakeReady(now, some[:]) {
		for _, id := range some[:k] {
			s.MakeDue(id)
		}
	}
	for s.Due() > 0 {
		ids := some[:s.Pop(some[:])]
		s.Names(ids, names[:0])
		for i, id := range ids {
			id = s.FindAgain(names[i], id)
			s.SetExpiry(id, now.Add(2*life))
			s.Wait(id, now.Add(life))
		}
		n += len(ids)
	}
	return n
}
