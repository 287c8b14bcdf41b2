// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

func goodResult() *result {
	yes := metav1.Condition{Status: metav1.ConditionTrue, Reason: "Good"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &result{started: at, firstFill: at.Add(2 * time.Second), ended: at.Add(time.Minute),
		policies: []policyState{{name: "shop", ready: yes, fresh: yes, keys: 306}},
		total:    tally{reads: 24000, misses: 3, slow: 4}, sinceFill: tally{reads: 23000}, loads: 1500, waits: 15, measured: measure{fresh: 304, stale: 2}}
}

func TestADemoFailsForEachExpectationThatIsNotMet(t *testing.T) {
	no := metav1.Condition{Status: metav1.ConditionFalse, Reason: "Bad", Message: "It is bad."}
	for name, test := range map[string]struct {
		change func(*result)
		want   string // in the only failure; "" if there is none
	}{
		"all is well, misses before the first fill included": {func(*result) {}, ""},
		"slow reads are told, but depend on the machine":     {func(r *result) { r.sinceFill.slow = 9 }, ""},
		"a policy is not Ready at the end":                   {func(r *result) { r.policies[0].ready = no }, "shop is not Ready but False, Bad: It is bad."},
		"a policy is not Fresh at the end":                   {func(r *result) { r.policies[0].fresh = no }, "shop is not Fresh"},
		"a reader missed":                                    {func(r *result) { r.sinceFill.misses = 1 }, "missed 1 times"},
		"a read failed":                                      {func(r *result) { r.total.failed = 1 }, "1 reads failed"},
		"nothing was read":                                   {func(r *result) { r.sinceFill.reads = 0 }, "Nothing was read"},
		"it never became Ready":                              {func(r *result) { r.firstFill = time.Time{} }, "within 60.0 s"},
		"there are no policies":                              {func(r *result) { r.policies = nil }, "no policies"},
		"a load had no header":                               {func(r *result) { r.refused = 2 }, "refused 2 loads"},
		"something else went wrong":                          {func(r *result) { r.problems = []string{"The operator ended."} }, "The operator ended."},
	} {
		t.Run(name, func(t *testing.T) {
			r := goodResult()
			test.change(r)
			failed := r.failures()
			if test.want == "" && len(failed) > 0 {
				t.Errorf("failures %q, want none", failed)
			}
			if test.want != "" && (len(failed) != 1 || !strings.Contains(failed[0], test.want)) {
				t.Errorf("failures %q, want one with %q", failed, test.want)
			}
		})
	}
}

func TestSummaryHasTheNumbers(t *testing.T) {
	text := goodResult().summary()
	for _, want := range []string{"60.0 s", "Ready after 2.0 s", "306, fresh: 100%", "23,000 hits, 0 misses",
		"304 fresh, 2 stale, 0 missing", "1,500 by the operator", "some 870 of these reads", "shop    True"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
}

func TestLiveAlignsItsColumnsAndRepeatsItsHeader(t *testing.T) {
	l := &live{}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	text := ""
	for i := range headerEvery + 1 {
		n := int64(i)
		text += l.next(sample{at: at.Add(time.Duration(i) * time.Second), overview: overview{policies: 2, ready: 1, keys: 306, notFresh: n}, total: 400 * n, loads: 1000 * n})
	}
	if n := strings.Count(text, liveHeader); n != 2 {
		t.Errorf("%d headers, want 2", n)
	}
	for line := range strings.Lines(text) {
		if line != "\n" && len(line) != len(liveHeader)+1 {
			t.Errorf("%q is not as wide as the header", line)
		}
	}
	if want := "03:04:06    1/2     306   99.6%      400       0           0    1,000         1,000"; !strings.Contains(text, want) {
		t.Errorf("there is no %q in\n%s", want, text)
	}
}

func TestAConditionOfAnOlderSpecSaysNothing(t *testing.T) {
	policy := &cachev1alpha1.CachePolicy{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
	policy.Status.Conditions = []metav1.Condition{
		{Type: cachev1alpha1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 1},
		{Type: cachev1alpha1.ConditionFresh, Status: metav1.ConditionTrue, ObservedGeneration: 2},
	}
	if s := stateOf(policy); isTrue(s.ready) || !isTrue(s.fresh) {
		t.Errorf("ready %s, fresh %s; want only the second", s.ready.Status, s.fresh.Status)
	}
}

func TestKeysThatNobodyRefreshesAreMissedOncePerLifetime(t *testing.T) {
	keys := []appKey{{name: "a", expire: 10 * time.Second}, {name: "b", expire: 20 * time.Second}}
	if got := expiryWaits(keys, 1e9); math.Abs(got-0.15) > 1e-6 {
		t.Errorf("%f a second, want 0.15 where reads are frequent", got)
	}
	if got := expiryWaits(keys[:1], 0.1); math.Abs(got-0.05) > 1e-6 {
		t.Errorf("%f a second, want 0.05 where a read comes 10s after the expiry", got)
	}
}

func TestTableHasTheColumnsThatKubectlShows(t *testing.T) {
	table := &metav1.Table{
		ColumnDefinitions: []metav1.TableColumnDefinition{{Name: "Name"}, {Name: "Ready"}, {Name: "Reason", Priority: 1}, {Name: "Keys"}},
		Rows:              []metav1.TableRow{{Cells: []any{"catalog", "True", "Good", int64(303)}}, {Cells: []any{"prices", nil, nil, int64(3)}}},
	}
	want := "NAME      READY   KEYS\ncatalog   True    303\nprices            3\n"
	if got := formatTable(table); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
