// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// The readers: so many, each of which waits up to maxPause between two reads,
// half of that on average. Together they make some 400 reads a second.
const (
	readers  = 40
	maxPause = 200 * time.Millisecond
)

// keptShare is the share of reads that go to the keys that policies keep.
const keptShare = 0.25

// slowRead is how long a read takes that a person behind it would begin to
// notice, and that cannot have come from the cache.
const slowRead = 20 * time.Millisecond

// application stands for whatever program has the cache: it knows nothing of
// Keepfresh. It put keys into Redis before the demo began, reads them, and, like
// every such program, asks the backend itself when it misses one.
type application struct {
	redis    *redis.Client
	catalog  *catalog
	existing []appKey // what it put there
	kept     []appKey // what the policies keep there
	count    counters
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// counters count reads: hits, misses, and those that failed for want of an
// answer; of all of these, some are slow.
type counters struct {
	reads, misses, slow, failed atomic.Int64
}

// tally is how counters stand.
type tally struct {
	reads, misses, slow, failed int64
}

func (c *counters) now() tally {
	// Reads last: there is never a miss too many for them.
	t := tally{misses: c.misses.Load(), slow: c.slow.Load(), failed: c.failed.Load()}
	t.reads = c.reads.Load()
	return t
}

func (t tally) hits() int64 { return t.reads - t.misses - t.failed }

func (t tally) since(before tally) tally {
	return tally{t.reads - before.reads, t.misses - before.misses, t.slow - before.slow, t.failed - before.failed}
}

// seed puts the existing keys into Redis as if they had been loaded one after
// another: the oldest has three tenths of its lifetime left.
func (a *application) seed(ctx context.Context) error {
	_, err := a.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, key := range a.existing {
			left := key.expire * 3 / 10
			left += rand.N(key.expire - left)
			pipe.Set(ctx, key.name, a.catalog.value(key.name), left)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put the application's keys into Redis: %w", err)
	}
	return nil
}

// read starts the readers.
func (a *application) read(ctx context.Context) {
	ctx, a.stop = context.WithCancel(ctx)
	for range readers {
		a.running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(rand.N(maxPause)):
				}
				a.readOne(ctx, a.pick())
			}
		})
	}
}

// pick picks a key at random. The kept keys are few and read often, as the front
// page of a shop is.
func (a *application) pick() appKey {
	keys := a.existing
	if len(keys) == 0 || (len(a.kept) > 0 && rand.Float64() < keptShare) {
		keys = a.kept
	}
	return keys[rand.N(len(keys))]
}

// readOne reads a key as an application does, and counts how that went.
func (a *application) readOne(ctx context.Context, key appKey) {
	begin := time.Now()
	err := a.redis.Get(ctx, key.name).Err()
	missed := errors.Is(err, redis.Nil)
	if missed {
		if value, err := a.catalog.load(ctx, key.name); err == nil {
			a.redis.Set(ctx, key.name, value, key.expire)
		}
	}
	if ctx.Err() != nil {
		return // it was cut short, and says nothing
	}
	a.count.reads.Add(1)
	switch {
	case missed:
		a.count.misses.Add(1)
	case err != nil:
		a.count.failed.Add(1)
	}
	if time.Since(begin) > slowRead {
		a.count.slow.Add(1)
	}
}

// measure is how many keys are fresh, going by Redis' own clock.
type measure struct {
	fresh, stale, missing int64
}

// measure asks Redis for the age of every key: the operator's word is one thing,
// what the readers get is another.
func (a *application) measure(ctx context.Context) (measure, error) {
	var m measure
	keys := slices.Concat(a.existing, a.kept)
	left := make([]*redis.DurationCmd, len(keys))
	_, err := a.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, key := range keys {
			left[i] = pipe.PTTL(ctx, key.name)
		}
		return nil
	})
	if err != nil {
		return m, fmt.Errorf("ask Redis for the age of the keys: %w", err)
	}
	for i, key := range keys {
		switch ttl := left[i].Val(); {
		case ttl < 0:
			m.missing++
		case key.expire-ttl > key.staleAfter:
			m.stale++
		default:
			m.fresh++
		}
	}
	return m, nil
}

// close ends the readers.
func (a *application) close() {
	if a.stop != nil {
		a.stop()
	}
	a.running.Wait()
	_ = a.redis.Close()
}

// waits is how many reads a second would wait for the backend if nobody
// refreshed the keys, at a rate of reads a second.
func (a *application) waits(reads float64) float64 {
	switch {
	case reads == 0:
		return 0
	case len(a.existing) == 0 || len(a.kept) == 0:
		return expiryWaits(a.existing, reads) + expiryWaits(a.kept, reads)
	}
	return expiryWaits(a.existing, reads*(1-keptShare)) + expiryWaits(a.kept, reads*keptShare)
}
