// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
)

func TestASampleCountsOnlyWhatWasNotKnown(t *testing.T) {
	const fresh, stale = 1900 * time.Millisecond, 100 * time.Millisecond // of 2 s
	for sentence, c := range map[string]struct {
		believed, said time.Duration
		kept           bool
		want           Sample
	}{
		"fresh, and Redis agrees":                     {fresh, fresh, false, Sample{Keys: 1}},
		"fresh, but stale in Redis":                   {fresh, stale, false, Sample{Keys: 1, Stale: 1}},
		"stale, and Redis agrees":                     {stale, stale, false, Sample{Keys: 1}},
		"fresh, but a kept key is missing":            {fresh, discover.Missing, true, Sample{Keys: 1, Missing: 1}},
		"fresh, but the application deleted it":       {fresh, discover.Missing, false, Sample{Keys: 1, Vanished: 1}},
		"fresh, but the application made it lasting":  {fresh, discover.NoExpiry, false, Sample{Keys: 1}},
		"not asked about since the last load of ours": {fresh, -5, false, Sample{}},
	} {
		conf := usual
		conf.Kept = c.kept
		tr, id := one(conf, at)
		tr.setExpiry(id, at.Add(c.believed))
		if c.said == -5 {
			tr.exceptions.set("product:1", exception{loaded: at})
		}
		if got := tr.Surprises([]discover.Found{{Key: "product:1", TTL: c.said, At: at}}); got != c.want {
			t.Errorf("%s: %+v, want %+v", sentence, got, c.want)
		}
	}
}

func TestASampleSpeaksForTheKeysOutsideOfIt(t *testing.T) {
	for sentence, c := range map[string]struct {
		counted Counts
		sample  Sample
		want    Counts
	}{
		"no sample yet":              {Counts{Keys: 1000, Fresh: 1000}, Sample{}, Counts{Keys: 1000, Fresh: 1000}},
		"a sample without surprises": {Counts{Keys: 1000, Fresh: 900, Stale: 100}, Sample{Keys: 100}, Counts{Keys: 1000, Fresh: 900, Stale: 100}},
		"a sample of all keys":       {Counts{Keys: 100, Fresh: 100}, Sample{Keys: 100, Stale: 9}, Counts{Keys: 100, Fresh: 100}},
		"surprises are scaled":       {Counts{Keys: 1000, Fresh: 1000}, Sample{Keys: 100, Stale: 2, Missing: 1}, Counts{Keys: 1000, Fresh: 970, Stale: 20, Missing: 10}},
		"no more than were fresh":    {Counts{Keys: 1000, Fresh: 5, Stale: 995}, Sample{Keys: 100, Stale: 60, Missing: 60}, Counts{Keys: 1000, Stale: 995, Missing: 5}},
	} {
		if got := c.counted.Corrected(c.sample); got != c.want {
			t.Errorf("%s: %+v, want %+v", sentence, got, c.want)
		}
	}
}

func TestAKeyThatExpiresWhileItsLoaderFailsStaysLate(t *testing.T) {
	for sentence, c := range map[string]struct {
		expiry time.Time
		late   int64
	}{
		"it expired":                        {at.Add(-time.Millisecond), 1},
		"the application deleted it before": {at.Add(time.Second), 0},
		"it was never there":                {time.Time{}, 0},
	} {
		conf := usual
		conf.Kept = true
		tr, id := one(conf, at)
		if !c.expiry.IsZero() {
			tr.setExpiry(id, c.expiry)
		}
		tr.lose(id, at)
		if got, _ := tr.Count(at); got.Missing != 1 || got.Late != c.late {
			t.Errorf("%s: %+v, want %d late", sentence, got, c.late)
		}
	}
}

func TestNearlyDue(t *testing.T) {
	minute := pacing.NewTiming(time.Minute, 40*time.Second, time.Second)
	short := pacing.NewTiming(5*time.Second, 3*time.Second, time.Second)
	for sentence, test := range map[string]struct {
		timing pacing.Timing
		ttl    time.Duration
		want   bool
	}{
		"a key in the last quarter of its cycle is":          {minute, 25 * time.Second, true},
		"one that may still be read is not":                  {minute, 35 * time.Second, false},
		"one that is stale is no measure of a whole cycle":   {minute, 15 * time.Second, false},
		"one with a longer life than ours is not":            {minute, 2 * time.Minute, false},
		"nor is one that is gone":                            {minute, discover.Missing, false},
		"nor one without an expiry":                          {minute, discover.NoExpiry, false},
		"where cycles are short, Redis' clock is too coarse": {short, 2500 * time.Millisecond, false},
	} {
		if got := NearlyDue(test.timing, []discover.Found{{Key: "k", TTL: test.ttl}}, time.Second); (len(got) == 1) != test.want {
			t.Errorf("%s: got %v", sentence, got)
		}
	}
}
