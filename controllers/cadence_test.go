// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

func TestWorthWriting(t *testing.T) {
	one := well().policy.UID
	next, _ := beat(one, now)
	began := now.Add(next).Truncate(time.Second).Add(time.Second) // just after a beat
	thousand := func(s *situation) {
		s.snapshot.Keyspaces[0] = healthy("products", 1000)
		s.snapshot.Keyspaces[0].Required, s.snapshot.Keyspaces[0].Achieved = 27, 27
		s.snapshot.Watch = watch.Status{Reason: watch.EventsNotSent}
		s.snapshot.ShortestExpire = 16900 * time.Millisecond
	}
	written := well(thousand)
	written.policy.Status = status(written, began)
	at := func(change ...func(*situation)) situation {
		s := well(append([]func(*situation){thousand}, change...)...)
		s.policy.Status = *written.policy.Status.DeepCopy()
		return s
	}
	keyspace := func(change func(*refresher.KeyspaceSnapshot)) situation {
		return at(func(s *situation) { change(&s.snapshot.Keyspaces[0]) })
	}
	keys := func(n int64) situation {
		return keyspace(func(k *refresher.KeyspaceSnapshot) { k.Keys, k.Fresh = n, n })
	}
	failed := func(s *situation) {
		s.snapshot.Keyspaces[0].LastFailure = &refresher.Failure{Time: now, Reason: "Timeout", Message: "no answer"}
	}

	tests := map[string]struct {
		after time.Duration
		situation
		want bool
	}{
		"nothing new is not worth it":                  {time.Second, at(), false},
		"a number is not worth it at once":             {29 * time.Second, keys(2000), false},
		"a number is worth it after 30 s":              {30 * time.Second, keys(2000), true},
		"the same numbers are not worth it after 30 s": {heartbeat - 5*time.Second, at(), false},
		"but they are after 3 minutes":                 {heartbeat, at(), true},
		"a condition that flips is worth it at once":   {time.Second, at(loaderDown), true},
		"a reason that changes is worth it at once":    {time.Second, at(redisDown), true},
		"a condition that goes is worth it at once":    {time.Second, at(longGuard), true},
		"a message with other numbers is not worth it": {time.Second, at(func(s *situation) { s.snapshot.Redis.Message = "Redis 8 answers" }), false},
		"a new generation is worth it at once":         {time.Second, at(func(s *situation) { s.policy.Generation++ }), true},
		"a refresh that is done is worth it at once":   {time.Second, at(func(s *situation) { s.snapshot.Refreshed = "token" }), true},

		"hardly more keys can wait for the beat": {time.Minute, keys(1010), false},
		"but not for longer":                     {heartbeat, keys(1010), true},
		"more keys are worth it after 30 s":      {time.Minute, keys(1011), true},
		"fewer keys are, too":                    {time.Minute, keys(989), true},
		"the first stale key is worth it after 30 s": {time.Minute, keyspace(func(k *refresher.KeyspaceSnapshot) {
			k.Fresh, k.Stale = 999, 1
		}), true},
		"the first key that is missing is": {time.Minute, keyspace(func(k *refresher.KeyspaceSnapshot) {
			k.Fresh, k.Missing = 999, 1
		}), true},
		"the first key that is ignored is": {time.Minute, keyspace(func(k *refresher.KeyspaceSnapshot) { k.Ignored = 1 }), true},
		"a refresh is":                     {time.Minute, keyspace(func(k *refresher.KeyspaceSnapshot) { k.LastRefresh = now }), true},
		"a failure is":                     {time.Minute, at(failed), true},
		"another keyspace is": {time.Minute, at(func(s *situation) {
			s.snapshot.Keyspaces = append(s.snapshot.Keyspaces, healthy("pages", 1))
		}), true},
		"another message is": {time.Minute, at(func(s *situation) { s.snapshot.Redis.Message = "Valkey 8 answers" }), true},
		"a rate that fades after the last refresh is not": {time.Minute, keyspace(func(k *refresher.KeyspaceSnapshot) {
			k.Achieved = 9.9
		}), false},
		"an oldest value that the application has written anew is not": {time.Minute, keyspace(func(k *refresher.KeyspaceSnapshot) {
			k.OldestLoad = now
		}), false},
		"a listing that took longer than the last is not": {time.Minute, at(func(s *situation) {
			s.snapshot.ShortestExpire = 30400 * time.Millisecond
		}), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			later := began.Add(test.after)
			next := status(test.situation, later)
			if got := worthWriting(one, &test.policy.Status, &next, later); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if next := status(well(), now); !worthWriting(one, &cachev1alpha1.CachePolicyStatus{}, &next, now) {
		t.Error("the first status is not worth it")
	}

	t.Run("another problem of the same kind is worth it at once", func(t *testing.T) {
		s := well(broken)
		s.policy.Status = status(s, began)
		s.problem = problemf(cachev1alpha1.ReasonSecretNotFound, "there is no other Secret")
		next := status(s, began.Add(time.Second))
		if !worthWriting(one, &s.policy.Status, &next, began.Add(time.Second)) {
			t.Error("it is not")
		}
	})
}

// Policies that begin together, with nothing to tell, are soon written evenly over
// the time between two beats, and each of them once in it.
func TestBeatsAreSpread(t *testing.T) {
	const policies = 1000
	from := now.Add(heartbeat + reportInterval)
	writes := map[int64]int{} // by tenth of a heartbeat
	for i := range policies {
		s := well()
		s.policy.UID = types.UID(fmt.Sprintf("uid-%d", i))
		s.policy.Status = status(s, now)
		count, last := 0, now
		for at := now; at.Before(from.Add(heartbeat)); at = at.Add(untilReport(s.policy.UID, s.policy.Status.LastMeasureTime.Time, at)) {
			after := status(s, at)
			if !worthWriting(s.policy.UID, &s.policy.Status, &after, at) {
				continue
			}
			if silent := at.Sub(last); silent > heartbeat+reportInterval {
				t.Fatalf("%s is silent for %s", s.policy.UID, silent)
			}
			last, s.policy.Status = at, after
			if !at.Before(from) {
				count++
				writes[int64(at.Sub(from)/(heartbeat/10))]++
			}
		}
		if count != 1 {
			t.Fatalf("%s is written %d times", s.policy.UID, count)
		}
	}
	for tenth := range int64(10) {
		if n := writes[tenth]; n < 70 || n > 130 {
			t.Errorf("in the %dth tenth of the time %d of %d policies are written", tenth, n, policies)
		}
	}
}

func TestUntilReport(t *testing.T) {
	one := well().policy.UID
	next, _ := beat(one, now)
	began := now.Add(next) // a beat
	for sentence, c := range map[string]struct{ last, now, want time.Duration }{
		"what was just written may be again after 30 s":     {0, 0, 30 * time.Second},
		"what was not worth it then, after another 30 s":    {0, 31 * time.Second, 29 * time.Second},
		"or at the next beat, if that is sooner":            {10 * time.Second, 161 * time.Second, 19 * time.Second},
		"but not at one that comes within 30 s":             {170 * time.Second, 171 * time.Second, 29 * time.Second},
		"it is not asked for again and again":               {0, 30*time.Second - time.Millisecond, time.Second},
		"a clock that was put back does not keep it silent": {time.Hour, 0, 30 * time.Second},
	} {
		if got := untilReport(one, began.Add(c.last), began.Add(c.now)); got != c.want {
			t.Errorf("%s: %s, want %s", sentence, got, c.want)
		}
	}
}
