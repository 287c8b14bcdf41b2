// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"fmt"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
)

func TestHowRebuildsEndedIsRememberedOfSoManyKeys(t *testing.T) {
	var r recent
	now := time.Now()
	end := func(key string, o rebuild.Outcome) {
		r.note(rebuild.Result{Job: rebuild.Job{Key: key}, Outcome: o, Failure: &rebuild.Failure{Reason: "Timeout"}}, now)
	}
	for i := range 3 * maxRecent {
		end(fmt.Sprint(i), rebuild.Failed)
	}
	if len(r.by) != maxRecent || r.order.Len() != maxRecent {
		t.Errorf("%d and %d are remembered, want %d", len(r.by), r.order.Len(), maxRecent)
	}
	last := fmt.Sprint(3*maxRecent - 1)
	for _, c := range []struct {
		o    rebuild.Outcome
		want string
	}{{rebuild.Held, "Failed"}, {rebuild.NotDue, "Failed"}, {rebuild.Changed, "Changed"}, {rebuild.Committed, "Committed"}} {
		end(last, c.o)
		if got := r.of(last, now, 0); got == nil || got.Outcome != c.want {
			t.Errorf("after %s: %+v, want %s", c.o, got, c.want)
		}
	}
	if forgotten := r.of("0", now, 2); forgotten.Outcome != "Failed" || forgotten.Failure != nil {
		t.Errorf("a failure that is not remembered: %+v", forgotten)
	}
	if got := r.of("new", time.Time{}, 0); got != nil {
		t.Errorf("a key that was never rebuilt: %+v", got)
	}
}

func TestHowAKeyStands(t *testing.T) {
	timing := pacing.NewTiming(2*time.Second, 1240*time.Millisecond, time.Second) // stale with 760 ms left
	for _, c := range []struct {
		kind string
		ttl  time.Duration
		want KeyState
	}{
		{"string", 2 * time.Second, KeyFresh},
		{"string", time.Hour, KeyFresh},
		{"string", 760 * time.Millisecond, KeyFresh},
		{"string", 759 * time.Millisecond, KeyStale},
		{"none", guard.Missing, KeyMissing},
		{"string", guard.Missing, KeyMissing}, // it expired between the two answers
		{"string", guard.NoExpiry, KeyIgnored},
		{"hash", time.Second, KeyIgnored},
	} {
		if got := state(timing, c.kind, c.ttl); got != c.want {
			t.Errorf("a %s with %s left: %s, want %s", c.kind, c.ttl, got, c.want)
		}
	}
}
