// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"strconv"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// observed counts what a tracker tells.
type observed struct {
	expired int
	lags    []time.Duration
}

func (o *observed) Expired()                    { o.expired++ }
func (o *observed) Refreshed(lag time.Duration) { o.lags = append(o.lags, lag) }

// usual are keys that live for 2 s and are stale after 1.24 s.
var usual = Config{Timing: pacing.NewTiming(2*time.Second, 1240*time.Millisecond, time.Second), BatchSize: 1, MaxConcurrent: 6}

// of is a tracker of keys that nothing is known of, at a time of its own.
func of(conf Config, keys int, now time.Time) *Tracker {
	t := New(conf, Options{Standby: func() bool { return false }, Quota: NewQuota(0), Lease: 2 * time.Second, Observer: &observed{}}, now)
	for i := range keys {
		t.track(strconv.Itoa(i))
	}
	return t
}

// one is a tracker of one key, with its number.
func one(conf Config, now time.Time) (*Tracker, schedule.ID) {
	t := of(conf, 0, now)
	return t, t.track("product:1")
}

// at is a time that is like any other.
var at = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func TestAQuotaIsSharedAndGivenBack(t *testing.T) {
	q := NewQuota(3)
	opts := Options{Standby: func() bool { return false }, Quota: q, Observer: &observed{}}
	a, b := New(usual, opts, at), New(usual, opts, at)
	for i := range 2 {
		if a.track(strconv.Itoa(i)) == 0 {
			t.Fatal("there is no room for the first keys")
		}
	}
	if b.track("x") == 0 || b.track("y") != 0 {
		t.Error("the quota is not that of both")
	}
	a.forget(a.Find("0"), at)
	if b.track("y") == 0 {
		t.Error("the room of a key that was forgotten is not given back")
	}
	a.Close()
	if b.track("z") == 0 {
		t.Error("the room of a tracker that was closed is not given back")
	}
}

func TestKeysOfAnotherEngineAreDropped(t *testing.T) {
	mine := true
	tr := New(usual, Options{Owns: func(key string) bool { return mine || key == "0" }, Standby: func() bool { return false }, Quota: NewQuota(0), Observer: &observed{}}, at)
	for i := range 3 {
		tr.track(strconv.Itoa(i))
	}
	tr.Mark(tr.Find("2"), Busy)
	tr.exceptions.fail("1")
	mine = false
	tr.DropUnowned(at)
	if tr.Find("0") == 0 || tr.Find("1") != 0 || tr.Find("2") == 0 || tr.Failing() != 0 {
		t.Errorf("%d keys are left, want its own and the one that is being rebuilt; %d fail", tr.Len(), tr.Failing())
	}
}
