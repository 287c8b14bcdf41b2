// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"math"
	"time"
)

// lead foresees how long before it would be stale a key has to be looked at, for
// its new value to be there in time: for as long as all but one in a hundred
// rebuilds take, and, where more keys end together than the loader takes at
// once, for as long as the last of them waits for the others.
type lead struct {
	rebuilds tail
	mean     time.Duration // of a call to the loader
	calls    float64       // that the mean is of, up to steady
	queue    time.Duration // for which some key will have to wait
	before   time.Duration // the same, when it was last counted
	applied  time.Duration // what the keys are scheduled by
}

// steady is how many calls a mean remembers.
const steady = 32

// called notes how long a call took that brought values; share is the part of
// it that one of them is.
func (l *lead) called(took time.Duration, share float64) {
	l.calls = min(l.calls+share, steady)
	l.mean += time.Duration(float64(took-l.mean) * share / l.calls)
}

// ahead is the lead.
func (l *lead) ahead() time.Duration { return l.rebuilds.most + l.queue }

// capacity is how many keys can be loaded per second; +Inf if that is not known.
func (l *lead) capacity(set *settings) float64 {
	calls := math.Inf(1)
	if l.mean > 0 {
		calls = float64(set.MaxConcurrent) / l.mean.Seconds()
	}
	if set.MaxPerSecond > 0 {
		calls = min(calls, float64(set.MaxPerSecond))
	}
	return calls * float64(set.loader.BatchSize())
}

// foresee takes in how many keys turn stale when. A longer queue has to be seen
// twice, lest a few slow calls have all keys come early.
func (l *lead) foresee(soon upcoming, set *settings) {
	queue := soon.queue(l.capacity(set), set.timing.staleAge)
	l.queue, l.before = min(queue, l.before), queue
}

// upcoming counts the keys by when they turn stale: in equal parts of the time
// to the refresh ratio from now on. What is stale already is in the first.
type upcoming [64]int64

func (u *upcoming) add(untilStale, staleAge time.Duration) {
	if i := int64(max(0, untilStale)) / max(1, int64(staleAge)/int64(len(u))); i < int64(len(u)) {
		u[i]++
	}
}

// queue is how late the last key would be loaded, at so many per second, if each
// were begun only when it turns stale: what there is to do grows by the keys of a
// part, and shrinks by its time. With that much of a lead all are in time, since
// they are loaded in the order of their expiry.
func (u *upcoming) queue(perSecond float64, staleAge time.Duration) time.Duration {
	var late, most float64 // in seconds
	part := staleAge.Seconds() / float64(len(u))
	for _, n := range u {
		late = max(0, late+float64(n)/perSecond-part)
		most = max(most, late)
	}
	return time.Duration(min(most, staleAge.Seconds()) * float64(time.Second))
}

const (
	tailBuckets = 80 // from a millisecond to a quarter of an hour
	perDoubling = 4
	// memory is how many rebuilds a tail remembers: of each older one, less.
	memory = 200
)

// tail knows how long all but one in a hundred rebuilds took of the last few
// hundred, to a fifth too much: four counters to each doubling of the time, of
// which the newer weigh more.
// Sources: the counters are those of DDSketch (Masson, Rim and Lee, VLDB 2019);
// the weights are forward decay (Cormode et al., ICDE 2009), by rebuilds instead of time.
type tail struct {
	counts [tailBuckets]float32
	all    float32       // of them
	weight float32       // of the next rebuild
	last   int           // the bucket of the 99th percentile
	most   time.Duration // its edge; 0 before the first rebuild
}

// add notes rebuilds that went together and took as long; share is which part of
// a call to the loader each of them was.
func (t *tail) add(took time.Duration, share float64) {
	if t.weight == 0 {
		t.weight = 1
	}
	more := t.weight * float32(share)
	t.counts[bucket(took)] += more
	t.all += more
	if t.weight *= 1 + float32(share)/memory; t.weight > 1000 {
		t.rescale()
	}
	i, above := tailBuckets-1, float32(0)
	for ; i > 0 && above+t.counts[i] <= t.all/100; i-- {
		above += t.counts[i]
	}
	if i != t.last || t.most == 0 {
		t.last, t.most = i, edge(i)
	}
}

// rescale keeps the numbers small.
func (t *tail) rescale() {
	t.all = 0
	for i := range t.counts {
		t.counts[i] /= t.weight
		t.all += t.counts[i]
	}
	t.weight = 1
}

func bucket(d time.Duration) int {
	i := math.Ceil(perDoubling * math.Log2(float64(d)/float64(time.Millisecond)))
	return int(min(max(0, i), tailBuckets-1))
}

// edge is the longest time that a bucket counts.
func edge(i int) time.Duration {
	return time.Duration(float64(time.Millisecond) * math.Exp2(float64(i)/perDoubling))
}

// window is over how long a rate is measured; older events weigh less and less.
const window = time.Minute

// pace is how often something has happened per second in the last minute or so,
// by a counter that is looked at now and then.
type pace struct {
	began, at time.Time
	counter   int64
	weighted  float64
}

// update takes in what the counter says now.
func (p *pace) update(counter int64, now time.Time) {
	if p.began.IsZero() {
		p.began, p.at, p.counter = now, now, counter
		return
	}
	passed := now.Sub(p.at).Seconds() / window.Seconds()
	if passed <= 0 {
		return
	}
	kept := math.Exp(-passed)
	p.weighted = p.weighted*kept + float64(counter-p.counter)*(1-kept)/passed
	p.at, p.counter = now, counter
}

// perSecond is the rate: what has passed of the first minute counts as all there is.
func (p *pace) perSecond() float64 {
	passed := p.at.Sub(p.began).Seconds() / window.Seconds()
	if passed <= 0 {
		return 0
	}
	return p.weighted / window.Seconds() / (1 - math.Exp(-passed))
}
