// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package pacing

import (
	"testing"
	"time"
)

func TestFillsThatAreInVainAreSpread(t *testing.T) {
	var r Refills
	now := time.Now()
	if got := r.At(now); !got.Equal(now) {
		t.Errorf("with room a key is filled %s later", got.Sub(now))
	}
	for range 2 {
		r.Sampled(true)
	}
	for i := range 3 {
		if got, want := r.At(now).Sub(now), time.Duration(i+1)*2*MinBackoff; got != want {
			t.Errorf("key %d is filled after %s, want %s", i, got, want)
		}
	}
	for range 100 {
		r.Sampled(true)
	}
	if r.pause != maxRefillPause {
		t.Errorf("the pause is %s", r.pause)
	}
	if !r.Sampled(false) || r.Sampled(false) {
		t.Error("it ends once")
	}
	if got := r.At(now); !got.Equal(now) {
		t.Errorf("when there is room again, a key is filled %s later", got.Sub(now))
	}
}

func TestWhenLossesAreConstant(t *testing.T) {
	for sentence, c := range map[string]struct {
		percent []float64 // that are gone, by sample
		told    bool
	}{
		"nothing was lost":                  {[]float64{0, 0, 0, 0, 0, 0}, false},
		"all were lost once, by a FLUSHALL": {[]float64{100}, false},
		"twice":                             {[]float64{100, 0, 100}, false},
		"again and again":                   {[]float64{30, 0, 30, 30}, true},
		"a few each time":                   {[]float64{5, 5, 5, 5, 5, 5}, false},
		"long ago":                          {[]float64{30, 30, 30, 30, 0, 0, 0, 0}, false},
	} {
		var l Losses
		for _, percent := range c.percent {
			l.Add(percent / 100)
		}
		if share := l.Constant(); (share > 0) != c.told {
			t.Errorf("%s: %v", sentence, share)
		}
	}
}
