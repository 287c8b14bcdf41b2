// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/api/v1alpha1"
)

func duration(d time.Duration) *v1alpha1.Duration { return &v1alpha1.Duration{Duration: d} }

func TestPercent(t *testing.T) {
	for percentage, want := range map[v1alpha1.Percentage]int{
		"1%": 1, "62%": 62, "99%": 99,
		"": 0, "%": 0, "0%": 0, "100%": 0, "-5%": 0, "+5%": 0, "05%": 0, "62": 0, "62.5%": 0, "62%%": 0, " 62%": 0, "٦٢%": 0,
	} {
		got, err := percentage.Percent()
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q is %d, %v; want %d", percentage, got, err, want)
		}
	}
}

func TestDueAfter(t *testing.T) {
	for sentence, c := range map[string]struct {
		expire  time.Duration
		percent int
		want    time.Duration
	}{
		"62% of 100s":                         {100 * time.Second, 62, 62 * time.Second},
		"what is less than a millisecond off": {1001 * time.Millisecond, 50, 500 * time.Millisecond},
		"an expire's nanoseconds off":         {time.Second + time.Nanosecond, 99, 990 * time.Millisecond},
		"the longest expire without overflow": {99999 * 4 * time.Hour, 99, 99999 * 4 * time.Hour / 100 * 99},
	} {
		if got := v1alpha1.DueAfter(c.expire, c.percent); got != c.want {
			t.Errorf("%s: %v, want %v", sentence, got, c.want)
		}
	}
}

func TestEffective(t *testing.T) {
	type values struct {
		expire, dueAfter, guardTimeout, timeout time.Duration
		ratio                                   int
	}
	for sentence, c := range map[string]struct {
		spec     v1alpha1.CachePolicySpec
		keyspace v1alpha1.Keyspace
		want     values
	}{
		"the defaults, where nothing is set": {
			want: values{guardTimeout: 6 * time.Second, timeout: 5 * time.Second, ratio: 62},
		},
		"the policy's, where the keyspace sets nothing": {
			spec: v1alpha1.CachePolicySpec{
				Expire: duration(time.Minute), RefreshRatio: "50%", GuardTimeout: duration(3 * time.Second),
			},
			want: values{
				expire: time.Minute, dueAfter: 30 * time.Second, guardTimeout: 3 * time.Second,
				timeout: 3 * time.Second, ratio: 50,
			},
		},
		"the keyspace's, where it sets its own": {
			spec: v1alpha1.CachePolicySpec{
				Expire: duration(time.Minute), RefreshRatio: "50%", GuardTimeout: duration(3 * time.Second),
			},
			keyspace: v1alpha1.Keyspace{
				Expire: duration(10 * time.Second), RefreshRatio: "80%", GuardTimeout: duration(2 * time.Minute),
				Loader: v1alpha1.Loader{HTTP: &v1alpha1.HTTPLoader{Timeout: duration(time.Minute)}},
			},
			want: values{
				expire: 10 * time.Second, dueAfter: 8 * time.Second, guardTimeout: 2 * time.Minute,
				timeout: time.Minute, ratio: 80,
			},
		},
		"a load timeout of a batch for which parts of it fit into the guardTimeout": {
			keyspace: v1alpha1.Keyspace{Loader: v1alpha1.Loader{HTTP: &v1alpha1.HTTPLoader{Batch: &v1alpha1.Batch{}}}},
			want:     values{guardTimeout: 6 * time.Second, timeout: 1500 * time.Millisecond, ratio: 62},
		},
		"a load timeout of a batch as it is written": {
			keyspace: v1alpha1.Keyspace{Loader: v1alpha1.Loader{HTTP: &v1alpha1.HTTPLoader{Batch: &v1alpha1.Batch{}, Timeout: duration(5 * time.Second)}}},
			want:     values{guardTimeout: 6 * time.Second, timeout: 5 * time.Second, ratio: 62},
		},
		"a load timeout of 5s, however long the guardTimeout": {
			keyspace: v1alpha1.Keyspace{GuardTimeout: duration(time.Minute), Loader: v1alpha1.Loader{HTTP: &v1alpha1.HTTPLoader{}}},
			want:     values{guardTimeout: time.Minute, timeout: 5 * time.Second, ratio: 62},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			var got values
			var err error
			got.expire = c.keyspace.EffectiveExpire(&c.spec)
			got.guardTimeout = c.keyspace.EffectiveGuardTimeout(&c.spec)
			got.timeout = c.keyspace.EffectiveTimeout(&c.spec)
			if got.ratio, err = c.keyspace.EffectiveRefreshRatio(&c.spec); err != nil {
				t.Error(err)
			}
			if got.dueAfter, err = c.keyspace.EffectiveDueAfter(&c.spec); err != nil {
				t.Error(err)
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestEffectiveBatchSize(t *testing.T) {
	for want, batch := range map[int]*v1alpha1.Batch{0: nil, 100: {}, 7: {Size: 7}} {
		if got := (&v1alpha1.HTTPLoader{Batch: batch}).EffectiveBatchSize(); got != want {
			t.Errorf("%v: a size of %d, want %d", batch, got, want)
		}
	}
}

func TestEffectiveRefreshRatioRefusesNonsense(t *testing.T) {
	k := v1alpha1.Keyspace{RefreshRatio: "much"}
	if _, err := k.EffectiveDueAfter(&v1alpha1.CachePolicySpec{}); err == nil {
		t.Error("want an error")
	}
}

func TestFreshShare(t *testing.T) {
	for _, c := range []struct {
		fresh, keys int64
		want        string
	}{
		{0, 0, ""},
		{0, 7, "0.0%"},
		{7, 7, "100%"},
		{1999, 2000, "99.9%"},
		{999_999, 1_000_000, "99.9%"}, // never 100% unless all are
		{1, 3, "33.3%"},
		{1, 1_000_000, "0.0%"},
		{8, 7, "100%"}, // counted at different moments
		{-1, 7, "0.0%"},
	} {
		if got := v1alpha1.FreshShare(c.fresh, c.keys); got != c.want {
			t.Errorf("%d of %d keys: %q, want %q", c.fresh, c.keys, got, c.want)
		}
	}
}

func TestLoadRate(t *testing.T) {
	pattern := regexp.MustCompile(`^[0-9]+([.][0-9]{1,2})?$`) // of the schema
	for perSecond, want := range map[float64]string{
		-1: "0", 0: "0", 0.004: "0", 0.268: "0.27", 1: "1", 9.999: "10", 12.4: "12", 1600: "1600", 1e18: "1000000000000000",
	} {
		if got := v1alpha1.LoadRate(perSecond); got != want || !pattern.MatchString(got) || len(got) > 16 {
			t.Errorf("LoadRate(%v) = %q, want %q", perSecond, got, want)
		}
	}
}
