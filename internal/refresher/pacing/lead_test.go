// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package pacing

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever the distribution, what a tail foresees lies between the percentiles
// around the 99th, and is at most a bucket too much.
func TestLatenciesFindTheSlowestOfAHundred(t *testing.T) {
	const ms = float64(time.Millisecond)
	for what, draw := range map[string]func() float64{
		"always as long":            func() float64 { return 80 * ms },
		"anything":                  func() float64 { return ms + rand.Float64()*5000*ms },
		"with a long tail":          func() float64 { return 20 * ms * math.Exp(rand.NormFloat64()) },
		"one in ten is much slower": func() float64 { return (10 + 3000*float64(1-min(1, rand.IntN(10)))) * ms },
		"shorter than can be told":  func() float64 { return 1000 },
		"longer than can be told":   func() float64 { return 3600 * 1000 * ms },
	} {
		t.Run(what, func(t *testing.T) {
			all := make([]float64, 20000)
			for i := range all {
				all[i] = draw()
			}
			slices.Sort(all)
			percentile := func(p float64) time.Duration {
				d := time.Duration(all[int(p/100*float64(len(all)-1))])
				return min(max(d, time.Millisecond), edge(latencyBuckets-1))
			}
			low, high := percentile(96), time.Duration(1.19*float64(percentile(99.95)))
			var tail latencies
			outside := 0
			for i := range 20000 {
				tail.add(time.Duration(draw()), 1)
				if i > 2*latencyWindow && (tail.p99 < low || tail.p99 > high) {
					outside++
				}
			}
			if outside > 200 {
				t.Errorf("%d of 20000 times it was not between %s and %s", outside, low, high)
			}
		})
	}
}

func TestLatenciesForget(t *testing.T) {
	var tail latencies
	add := func(took time.Duration, n int, share float64) {
		for range n {
			tail.add(took, share)
		}
	}
	within := func(what string, low, high time.Duration) {
		t.Helper()
		if tail.p99 < low || tail.p99 > high {
			t.Errorf("%s: it foresees %s, want %s to %s", what, tail.p99, low, high)
		}
	}
	within("before the first", 0, 0)
	add(100*time.Millisecond, 1, 1)
	within("the first", 100*time.Millisecond, 119*time.Millisecond)
	add(time.Second, 1, 1)
	within("a slow one among few", time.Second, 1190*time.Millisecond)
	add(100*time.Millisecond, 2*latencyWindow, 1)
	within("it was the only one", 100*time.Millisecond, 119*time.Millisecond)
	add(minute, 1, 1)
	within("a slow one among many", 100*time.Millisecond, 119*time.Millisecond)
	add(minute, 4, 1)
	within("several", minute, 72*time.Second)
	add(minute, 10*latencyWindow, 1)
	add(100*time.Millisecond, 10*latencyWindow, 1)
	within("it was slow for long, and is so no more", 100*time.Millisecond, 119*time.Millisecond)
	add(time.Second, 100, 0.01)
	within("a slow call for 100 keys counts as one", 100*time.Millisecond, 119*time.Millisecond)
	add(time.Second, 400, 0.01)
	within("several such calls", time.Second, 1190*time.Millisecond)
}

func TestCapacity(t *testing.T) {
	for what, c := range map[string]struct {
		took             time.Duration
		concurrent, most int
		batch            int
		want             float64
	}{
		"nothing is known before the first load": {0, 6, 0, 1, math.Inf(1)},
		"but for a limit":                        {0, 6, 40, 1, 40},
		"by how many run at once":                {20 * time.Millisecond, 6, 0, 1, 300},
		"by a limit that is less than that":      {20 * time.Millisecond, 6, 100, 1, 100},
		"by a limit that is more":                {20 * time.Millisecond, 6, 1000, 1, 300},
		"a batch is as many keys":                {time.Second, 2, 0, 50, 100},
		"a limit is one of calls":                {time.Second, 20, 3, 50, 150},
	} {
		var l Lead
		for range c.batch * 3 {
			if c.took > 0 {
				l.Called(c.took, 1/float64(c.batch))
			}
		}
		if got := l.Capacity(Limits{c.concurrent, c.most, c.batch}); math.Abs(got-c.want) > 0.001 && got != c.want {
			t.Errorf("%s: %v per second, want %v", what, got, c.want)
		}
	}
}

// With the queue's time as a lead, what is loaded one by one in the order of the
// expiry is in time; and no lead is taken without need.
func TestTheQueueIsForeseen(t *testing.T) {
	const staleAge = 64 * time.Second
	for range 2000 {
		perSecond := 1 + rand.Float64()*100
		var keys []time.Duration // until they turn stale
		for range 1 + rand.IntN(4) {
			at, spread := rand.N(staleAge), 1+rand.N(staleAge/4)
			for range rand.IntN(int(perSecond*30) + 1) {
				keys = append(keys, min(staleAge-1, at+rand.N(spread)))
			}
		}
		slices.Sort(keys)
		var soon Upcoming
		for _, k := range keys {
			soon.Add(k, staleAge)
		}
		late := func(lead time.Duration) (most time.Duration) {
			free := -lead
			for _, k := range keys {
				free = max(free, k-lead) + time.Duration(float64(time.Second)/perSecond)
				most = max(most, free-k)
			}
			return most
		}
		lead := soon.queue(perSecond, staleAge)
		if lead >= staleAge {
			continue // too much for any lead that is taken
		}
		slack := 2*staleAge/time.Duration(len(soon)) + time.Duration(2*float64(time.Second)/perSecond)
		if most := late(lead); most > slack {
			t.Fatalf("%d keys at %.1f/s with a lead of %s: %s late", len(keys), perSecond, lead, most)
		}
		if without := late(0); lead > without+slack {
			t.Fatalf("%d keys at %.1f/s: a lead of %s, where without any they are %s late", len(keys), perSecond, lead, without)
		}
	}
}

func TestARateIsThatOfTheLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Rate
		var counter int64
		run := func(perSecond int64, d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				seconds := 1 + rand.Int64N(10) // it is looked at now and then
				time.Sleep(time.Duration(seconds) * time.Second)
				counter += perSecond * seconds
				p.Update(counter, time.Now())
			}
		}
		near := func(what string, want float64) {
			t.Helper()
			if got := p.PerSecond(); math.Abs(got-want) > want/20+0.01 {
				t.Errorf("%s: %.2f per second, want %.2f", what, got, want)
			}
		}
		p.Update(counter, time.Now())
		near("before anything", 0)
		run(900, 2*time.Second)
		near("at once", 900)
		run(900, time.Hour)
		near("after an hour", 900)
		run(100, 5*time.Minute)
		near("five minutes after it fell", 107)
		run(0, 10*time.Minute)
		near("after ten minutes of nothing", 0)
	})
}
