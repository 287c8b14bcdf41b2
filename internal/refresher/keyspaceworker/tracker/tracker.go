// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tracker holds what is known of a keyspace's keys: when each of them expires and
// is to be looked at again, which are missing or fail, and how all of them stand. What
// Redis and rebuilds say goes in, jobs come out. There is no goroutine and no I/O in it,
// and the time is always an argument, so that it is tested without waiting.
//
//	Found, Missed ──► waiting ──PromoteReady──► due ──TakeDue──► busy ──Finish──┐
//	                     ▲                                                     │
//	                     └─────────── next due, retry, held ───────────────────┘
//
// All of it is hints: when a key's time comes, Redis is asked again.
package tracker

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// What is known of a key beside its expiry, which goes by the local clock.
const (
	Missing  schedule.Marks = 1 << iota // it is not there; its expiry is the time since when
	Ignored                             // it is no string, or has no expiry; or nothing is known yet
	Busy                                // it is being rebuilt
	Demanded                            // it is to be rebuilt whatever its age
	OwnTTL                              // it has the TTL that its last load gave it
	Awaited                             // a reader has missed it
)

// Config is what a keyspace's settings mean for its keys.
type Config struct {
	Timing        pacing.Timing
	Kept          bool // all keys are known, and filled when they are missing
	BatchSize     int  // keys per call to the loader
	MaxConcurrent int  // calls to the loader at once
	FillMissed    bool // a key that a reader misses is filled
}

// Observer is told what metrics count.
type Observer interface {
	Expired()                    // a key's life ended before it was refreshed
	Refreshed(lag time.Duration) // a key was refreshed that had been stale for so long; negative if it was fresh
}

// Options do not change.
type Options struct {
	Prefix   string                // of all keys
	Owns     func(key string) bool // whether a key is this engine's; all are if nil
	Standby  func() bool           // another engine goes first
	Quota    *Quota                // of keys
	Lease    time.Duration         // of guards
	Observer Observer
}

// Tracker holds the keys of one keyspace. It belongs to one goroutine.
type Tracker struct {
	*schedule.Schedule
	Lead    pacing.Lead    // how early keys have to become due
	Refills pacing.Refills // of keys that Redis evicts again and again

	conf       Config
	opts       Options
	epoch      time.Time // steps at which keys become due are counted from here
	exceptions exceptions
	listings   listings
	demand     demand
	hints      hints
	admission  *watch.Admission // of keys that readers miss
	vanished   int64            // keys whose end before its time was heard of since the last sample
}

// New returns a Tracker without keys.
func New(conf Config, opts Options, now time.Time) *Tracker {
	t := &Tracker{
		Schedule: schedule.New(opts.Prefix, now), opts: opts, epoch: now,
		exceptions: exceptions{of: map[string]*exception{}},
	}
	t.configure(conf)
	return t
}

func (t *Tracker) configure(conf Config) {
	t.conf = conf
	t.admission = admission(conf)
}

// Configure puts other settings into effect. With another Timing, all keys are scheduled
// anew: the time for which they rest was in proportion to the former one, and those that
// failed may not be due by this one, or else are tried at once.
func (t *Tracker) Configure(conf Config, now time.Time) {
	retimed := conf.Timing != t.conf.Timing
	t.configure(conf)
	if !retimed {
		return
	}
	t.exceptions.clear()
	for id := range t.All() {
		t.Unmark(id, OwnTTL)
		if t.Marks(id)&(Busy|Missing|Ignored) == 0 {
			t.remind(id, t.Left(id, now), now)
		}
	}
}

// Close forgets all keys.
func (t *Tracker) Close() { t.opts.Quota.leave(int64(t.Len())) }

// owns says whether a key is this engine's.
func (t *Tracker) owns(key string) bool { return t.opts.Owns == nil || t.opts.Owns(key) }

// EveryKeyFails says that the last rebuild of each key failed.
func (t *Tracker) EveryKeyFails() bool { return t.exceptions.failing == t.Len() }

// Failing is how many keys' last rebuild failed.
func (t *Tracker) Failing() int { return t.exceptions.failing }

// Failures is how often the rebuild of a key has failed in a row.
func (t *Tracker) Failures(key string) int { return t.exceptions.failures(key) }

// track takes in a key of which nothing is known yet; 0 if there is no room for it.
func (t *Tracker) track(key string) schedule.ID {
	if !t.opts.Quota.admit() {
		return 0
	}
	id := t.Add(key)
	t.Mark(id, Ignored)
	t.See(id, t.listings.last-1)
	return id
}

// forget drops a key.
func (t *Tracker) forget(id schedule.ID, now time.Time) {
	if !t.exceptions.none() {
		t.exceptions.drop(t.Name(id))
	}
	t.tried(id)
	if t.Has(id, Awaited) {
		t.admission.Done(t.Name(id), false, now)
	}
	t.Remove(id)
	t.opts.Quota.leave(1)
}

// DropUnowned forgets the keys that are another engine's now. Those that are being rebuilt
// are forgotten when their time comes.
func (t *Tracker) DropUnowned(now time.Time) {
	if t.opts.Owns == nil {
		return
	}
	for id := range t.All() {
		if !t.Has(id, Busy) && !t.opts.Owns(t.Name(id)) {
			t.forget(id, now)
		}
	}
}

// Quota bounds the keys of several Trackers: of those of one namespace. It is safe for
// concurrent use.
type Quota struct {
	limit int64 // 0 for none
	used  atomic.Int64
}

// NewQuota returns a Quota of so many keys; without a bound for 0.
func NewQuota(limit int64) *Quota { return &Quota{limit: limit} }

// admit counts a key, if there is room for one more.
func (q *Quota) admit() bool {
	if n := q.used.Add(1); q.limit > 0 && n > q.limit {
		q.used.Add(-1)
		return false
	}
	return true
}

func (q *Quota) leave(n int64) { q.used.Add(-n) }

// exceptions are what only few keys have: those whose last load failed, and those that
// got another TTL soon after it. Of a key with OwnTTL, its expiry tells the same.
type exceptions struct {
	of      map[string]*exception
	failing int // those with failures
}

type exception struct {
	failures    int       // in a row
	loaded      time.Time // the last load; zero before the first
	notBefore   time.Time // no load before, whatever the key's TTL; unless
	loadFailed  bool      // the last load failed: then the backoff says when to try again
	mayFailCall bool      // the key itself may be why its batch failed
}

func (x *exceptions) none() bool { return len(x.of) == 0 }

func (x *exceptions) clear() {
	clear(x.of)
	x.failing = 0
}

// set notes an exception. The key is copied: one that was taken from the schedule shares
// its memory with others.
func (x *exceptions) set(key string, is exception) {
	x.drop(key)
	if is.failures > 0 {
		x.failing++
	}
	x.of[strings.Clone(key)] = &is
}

func (x *exceptions) drop(key string) {
	if was := x.of[key]; was != nil {
		if was.failures > 0 {
			x.failing--
		}
		delete(x.of, key)
	}
}

func (x *exceptions) failures(key string) int {
	if is := x.of[key]; is != nil {
		return is.failures
	}
	return 0
}

// fail counts a failure.
func (x *exceptions) fail(key string) {
	var is exception
	if was := x.of[key]; was != nil {
		is = *was
	}
	is.failures++
	x.set(key, is)
}

// forgive forgets failures, and what no longer matters.
func (x *exceptions) forgive(key string, now time.Time) {
	if is := x.of[key]; is != nil {
		if loaded, notBefore := is.loaded, is.notBefore; now.Before(notBefore) {
			x.set(key, exception{loaded: loaded, notBefore: notBefore})
		} else {
			x.drop(key)
		}
	}
}

// loadedRecently says that a key was loaded so recently that only a loss makes it due.
// That a look at it failed, as Redis was gone, changes nothing about that.
func (t *Tracker) loadedRecently(id schedule.ID, now time.Time) bool {
	if x := t.exception(id); x != nil && x.loadFailed {
		return false
	}
	return now.Before(t.NotBefore(id))
}

// exception is that of a key, or nil.
func (t *Tracker) exception(id schedule.ID) *exception {
	if t.exceptions.none() {
		return nil
	}
	return t.exceptions.of[t.Name(id)]
}
