// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package pacing

import (
	"math"
	"time"
)

const (
	latencyBuckets     = 80 // from a millisecond to a quarter of an hour
	bucketsPerDoubling = 4
	// latencyWindow is how many rebuilds are remembered: of each older one, less.
	latencyWindow = 200
)

// latencies know how long all but one in a hundred rebuilds took of the last few
// hundred, to a fifth too much: four counters to each doubling of the time, in which the
// newer rebuilds weigh more.
// Sources: the counters are those of DDSketch (Masson, Rim and Lee, VLDB 2019);
// the weights are forward decay (Cormode et al., ICDE 2009), by rebuilds instead of time.
type latencies struct {
	counts [latencyBuckets]float32
	all    float32       // the sum of the counts
	weight float32       // of the next rebuild
	last   int           // the bucket of the 99th percentile
	p99    time.Duration // its upper edge; 0 before the first rebuild
}

// add notes rebuilds that went together and took as long; share is the part of a call
// to the loader that each of them was.
func (t *latencies) add(took time.Duration, share float64) {
	if t.weight == 0 {
		t.weight = 1
	}
	more := t.weight * float32(share)
	t.counts[bucket(took)] += more
	t.all += more
	if t.weight *= 1 + float32(share)/latencyWindow; t.weight > 1000 {
		t.rescale()
	}
	i, above := latencyBuckets-1, float32(0)
	for ; i > 0 && above+t.counts[i] <= t.all/100; i-- {
		above += t.counts[i]
	}
	if i != t.last || t.p99 == 0 {
		t.last, t.p99 = i, edge(i)
	}
}

// rescale keeps the numbers small.
func (t *latencies) rescale() {
	t.all = 0
	for i := range t.counts {
		t.counts[i] /= t.weight
		t.all += t.counts[i]
	}
	t.weight = 1
}

func bucket(d time.Duration) int {
	i := math.Ceil(bucketsPerDoubling * math.Log2(float64(d)/float64(time.Millisecond)))
	return int(min(max(0, i), latencyBuckets-1))
}

// edge is the longest time that a bucket counts.
func edge(i int) time.Duration {
	return time.Duration(float64(time.Millisecond) * math.Exp2(float64(i)/bucketsPerDoubling))
}
