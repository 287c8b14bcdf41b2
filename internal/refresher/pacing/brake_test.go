// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package pacing

import (
	"testing"
	"time"
)

func TestWhenTheBrakeHolds(t *testing.T) {
	type answers struct {
		notFound bool
		n        int
	}
	for sentence, c := range map[string]struct {
		limit int
		given []answers
		holds bool
	}{
		"nothing was answered":                          {30, nil, false},
		"nine of the first nine is too few to tell":     {30, []answers{{true, 9}}, false},
		"ten of the first ten is many":                  {30, []answers{{true, 10}}, true},
		"30 of 100 may be not found":                    {30, []answers{{false, 100}, {true, 30}}, false},
		"31 of 100 are too many":                        {30, []answers{{false, 100}, {true, 31}}, true},
		"it holds while a third of the limit is left":   {30, []answers{{false, 100}, {true, 31}, {false, 90}}, true},
		"it ends below a third of the limit":            {30, []answers{{false, 100}, {true, 31}, {false, 91}}, false},
		"at a small limit, ten of them are needed":      {1, []answers{{false, 100}, {true, 9}}, false},
		"at a small limit it ends with the last of it":  {1, []answers{{true, 10}, {false, 99}}, true},
		"at a small limit it ends once all are answers": {1, []answers{{true, 10}, {false, 100}}, false},
		"a limit of 100 turns it off":                   {100, []answers{{true, 500}}, false},
	} {
		b := &DeletionBrake{}
		b.LimitTo(c.limit)
		for _, a := range c.given {
			for range a.n {
				b.Answered(a.notFound, time.Now())
			}
		}
		if b.On() != c.holds {
			notFound, of := b.Counts()
			t.Errorf("%s: %d of %d were not found, holds: %v", sentence, notFound, of, b.On())
		}
	}
}

func TestTheBrakeEndsWhenNoKeyIsLeftToAskFor(t *testing.T) {
	now := time.Now()
	b := &DeletionBrake{}
	b.LimitTo(30)
	for range 20 {
		b.Answered(true, now)
	}
	if b.Expire(time.Minute, now.Add(time.Minute)); !b.On() {
		t.Error("it ends within a lifetime")
	}
	if b.Expire(time.Minute, now.Add(time.Minute+1)); b.On() {
		t.Error("it does not end")
	}
}

func TestAnotherLimitAppliesAtOnce(t *testing.T) {
	b := &DeletionBrake{}
	b.LimitTo(30)
	for range 20 {
		b.Answered(true, time.Now())
	}
	if b.LimitTo(100); b.On() {
		t.Error("it holds, though it is turned off")
	}
	if b.LimitTo(50); !b.On() {
		t.Error("it does not hold")
	}
}
