// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// What a value begins with: who wrote it. A logical time follows.
const (
	loaded  = "load:"
	written = "app:"
)

const (
	writers = 4 // each with keys of its own
	readers = 4
)

// application writes, deletes and reads, and knows what must be found.
type application struct {
	redis   *redis.Client
	backend *backend
	keys    []state
	counts
}

// state is what the application last did to a key.
type state struct {
	mu      sync.Mutex
	present bool
	unsure  bool  // a command failed: it may have been done, or not
	since   int64 // the logical time at which the last command was answered
	changes int
}

type counts struct {
	reads, writes, deletes, errors atomic.Int64
	lost, overwritten              atomic.Int64
}

// String is how it goes.
func (c *counts) String() string {
	return fmt.Sprintf("%d reads, %d writes, %d deletions, %d errors; %d lost, %d overwritten",
		c.reads.Load(), c.writes.Load(), c.deletes.Load(), c.errors.Load(), c.lost.Load(), c.overwritten.Load())
}

func newApplication(addr string, b *backend, keys int) *application {
	return &application{
		redis:   redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialTimeout: time.Second}),
		backend: b, keys: make([]state, keys),
	}
}

func (a *application) close() { _ = a.redis.Close() }

func (a *application) shutdown(ctx context.Context) error {
	err := a.redis.Do(ctx, "SHUTDOWN", "SAVE").Err()
	if err != nil && strings.HasPrefix(err.Error(), "ERR") {
		return err
	}
	return nil // the connection breaks, as it should
}

func key(i int) string { return "product:" + strconv.Itoa(i) }

// seed writes all keys, with lifetimes that do not end together.
func (a *application) seed(ctx context.Context) error {
	const step = 1000
	for from := 0; from < len(a.keys); from += step {
		_, err := a.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := from; i < min(from+step, len(a.keys)); i++ {
				p.Set(ctx, key(i), written+"0", expire*3/4+rand.N(expire/4))
				a.keys[i].present = true
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	return nil
}

// live writes and reads until ctx ends; the function returned waits for that.
func (a *application) live(ctx context.Context) (wait func()) {
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for ctx.Err() == nil {
				a.change(ctx, rand.IntN(len(a.keys)/writers)*writers+w)
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	for range readers {
		running.Go(func() {
			for ctx.Err() == nil {
				a.check(ctx, rand.IntN(len(a.keys)))
				time.Sleep(200 * time.Microsecond)
			}
		})
	}
	return running.Wait
}

// change writes a key or deletes it.
func (a *application) change(ctx context.Context, i int) {
	s := &a.keys[i]
	s.mu.Lock()
	present := !s.present || rand.IntN(3) > 0
	s.changes++
	s.unsure = true // until it is answered
	s.mu.Unlock()

	var err error
	if present {
		a.writes.Add(1)
		err = a.redis.Set(ctx, key(i), written+strconv.FormatInt(a.backend.clock.Add(1), 10), expire).Err()
	} else {
		a.deletes.Add(1)
		err = a.redis.Del(ctx, key(i)).Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	if err != nil {
		a.errors.Add(1)
		return
	}
	s.present, s.unsure, s.since = present, false, a.backend.clock.Add(1)
}

// check reads a key, and judges what it finds unless a command was under way.
func (a *application) check(ctx context.Context, i int) {
	s := &a.keys[i]
	s.mu.Lock()
	present, unsure, since, changes := s.present, s.unsure, s.since, s.changes
	s.mu.Unlock()
	value, err := a.redis.Get(ctx, key(i)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		if ctx.Err() == nil {
			a.errors.Add(1)
			time.Sleep(10 * time.Millisecond)
		}
		return
	}
	a.reads.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if unsure || s.changes != changes {
		return
	}
	found := err == nil
	switch {
	case !found && present:
		a.lost.Add(1)
		s.present = false // counted once
	case found && (!present || older(value, since)):
		a.overwritten.Add(1)
		s.unsure = true
	}
}

// older says that a value comes from a load that began before since.
func older(value string, since int64) bool {
	at, ok := strings.CutPrefix(value, loaded)
	began, err := strconv.ParseInt(at, 10, 64)
	return ok && (err != nil || began < since)
}

// audit reads all keys, a lifetime after the last change.
func (a *application) audit(ctx context.Context) error {
	fmt.Printf("soak: all keys are read in %s\n", expire)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(expire):
	}
	for i := range a.keys {
		a.check(ctx, i)
	}
	return ctx.Err()
}
