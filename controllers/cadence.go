// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"hash/fnv"
	"slices"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// When a status is written:
//
//	a condition flips, a refresh is done      at once
//	its numbers have changed                  reportInterval after the last time
//	they have hardly                          at the policy's next beat
const (
	reportInterval = 30 * time.Second
	// heartbeat is how often a status is written that says the same, so that all
	// can see that somebody looks.
	heartbeat = 3 * time.Minute
	// little is the share of a policy's keys by which its numbers may change
	// without being written before the next beat.
	little = 0.01
)

// worthWriting says whether a policy's new status has to be written now.
func worthWriting(policy types.UID, before, after *cachev1alpha1.CachePolicyStatus, now time.Time) bool {
	if before.LastMeasureTime == nil || !equality.Semantic.DeepEqual(said(before), said(after)) {
		return true
	}
	last := before.LastMeasureTime.Time
	if now.Sub(last) < reportInterval {
		return false
	}
	_, beaten := beat(policy, last)
	_, beats := beat(policy, now)
	return beats != beaten || !alike(before, after)
}

// untilReport is how long it takes until a status may have to be written again
// that was written last at a given time.
func untilReport(policy types.UID, last, now time.Time) time.Duration {
	wait := reportInterval - now.Sub(last)%reportInterval
	if next, _ := beat(policy, now); now.Add(next).Sub(last) >= reportInterval {
		wait = min(wait, next)
	}
	return max(time.Second, wait)
}

// beat is when a policy's next heartbeat comes, and how many have passed. Policies
// have theirs at different times, also if they all began together; it is a whole
// second, as times in a status are.
func beat(policy types.UID, now time.Time) (until time.Duration, passed int64) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(policy))
	phase := time.Duration(h.Sum64()%uint64(heartbeat/time.Second)) * time.Second
	t := now.UnixNano() + int64(phase)
	return heartbeat - time.Duration(t%int64(heartbeat)), t / int64(heartbeat)
}

// said is what a status says, without its numbers: of the messages only that of
// Stalled, as it names what has to be changed.
func said(s *cachev1alpha1.CachePolicyStatus) cachev1alpha1.CachePolicyStatus {
	out := cachev1alpha1.CachePolicyStatus{
		ObservedGeneration: s.ObservedGeneration, LastHandledRefreshAt: s.LastHandledRefreshAt, Redis: s.Redis,
	}
	for _, c := range s.Conditions {
		said := metav1.Condition{Type: c.Type, Status: c.Status, Reason: c.Reason, ObservedGeneration: c.ObservedGeneration}
		if c.Type == cachev1alpha1.ConditionStalled {
			said.Message = c.Message
		}
		out.Conditions = append(out.Conditions, said)
	}
	return out
}

// alike says that two statuses which say the same have hardly other numbers. What
// follows from others is not looked at: rates from refreshes and keys, sums and shares
// from counts. Nor is the oldest value, which is another whenever a key is written.
func alike(a, b *cachev1alpha1.CachePolicyStatus) bool {
	return slices.EqualFunc(a.Conditions, b.Conditions, func(a, b metav1.Condition) bool {
		return wording(a.Message) == wording(b.Message)
	}) &&
		slices.EqualFunc(a.Keyspaces, b.Keyspaces, func(a, b cachev1alpha1.KeyspaceStatus) bool {
			return a.Name == b.Name && a.LastRefreshTime.Equal(b.LastRefreshTime) &&
				equality.Semantic.DeepEqual(a.LastFailure, b.LastFailure) &&
				near(a.Keys, b.Keys, a.Keys) && near(a.Stale, b.Stale, a.Keys) &&
				near(a.Missing, b.Missing, a.Keys) && near(a.Ignored, b.Ignored, a.Ignored)
		})
}

// near says that two counts differ by little of all there are. None is not little.
func near(a, b, all int64) bool {
	return a == b || a > 0 && b > 0 && float64(max(a-b, b-a)) <= little*float64(all)
}

// wording is a message without its numbers.
func wording(message string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) || r == '.' {
			return -1
		}
		return r
	}, message)
}
