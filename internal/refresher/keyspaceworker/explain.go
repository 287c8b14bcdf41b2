// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"context"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
)

// Explanation is what is known of one key at one moment: what Redis says, and
// what the engine has in mind. It holds no secret.
type Explanation struct {
	Keyspace string // whose template the key matches
	At       time.Time

	store.Look // without an answer of Redis, State is KeyUnknown
	State      KeyState

	Tracked     bool      // the key is in the schedule
	Due         time.Time // when it becomes due, or became; zero if that is not known
	NextAttempt time.Time // when it is looked at again; zero if it is not, or is just being rebuilt
	LastLoad    time.Time // zero if this engine has not loaded it, or an application wrote it since
	LastOutcome *KeyOutcome
	Failures    int // in a row

	BreakerOpen bool // the keyspace's loads fail as a whole

	// Silent says that the keyspace's loop did not answer in time: it is stuck, or
	// busy. All that the engine has in mind of the key is missing here then.
	Silent bool
}

// KeyState is how a key stands.
type KeyState string

// The states.
const (
	KeyFresh   KeyState = "Fresh"   // age up to the refresh ratio
	KeyStale   KeyState = "Stale"   // older, but there
	KeyMissing KeyState = "Missing" // not there
	KeyIgnored KeyState = "Ignored" // no string, or without an expiry
	KeyUnknown KeyState = "Unknown" // Redis could not be asked
)

// Explain tells what is known of a key of which Redis said look at a moment. It changes
// nothing, and waits no longer than ctx.
func (w *Worker) Explain(ctx context.Context, key string, look store.Look, at time.Time) Explanation {
	bare := Explanation{Keyspace: w.Assignment().Name, At: at, Look: look, State: KeyUnknown}
	told := bare
	if err := w.wait(ctx, func() { w.explain(key, &told) }); err != nil {
		bare.Silent = true
		return bare
	}
	return told
}

// explain adds what the worker knows.
func (w *Worker) explain(key string, out *Explanation) {
	timing := w.current.Rebuild.Timing
	out.BreakerOpen = w.breakerOpen() > 0
	if out.Redis.Reason == redisconn.Connected {
		out.State = state(timing, out.Type, out.TTL)
	}
	if out.State == KeyFresh || out.State == KeyStale {
		out.Due = out.At.Add(timing.UntilDue(out.TTL, w.tracker.Lead.Ahead(), 0))
	}
	known := w.tracker.Known(key, out.At)
	if !known.Tracked {
		return
	}
	out.Tracked, out.LastLoad, out.Failures = true, known.LoadedAt, known.Failures
	out.LastOutcome = w.recent.of(key, out.LastLoad, out.Failures)
	out.Guard.Ours = out.Guard.Held && known.Busy
	if known.Busy {
		return
	}
	out.NextAttempt = known.NextLook
	for _, t := range []time.Time{w.breaker.Until(), out.At} {
		if out.NextAttempt.Before(t) {
			out.NextAttempt = t
		}
	}
	if out.Failures == 0 && known.NextLook.Before(out.Due) {
		out.Due = known.NextLook // it has its share of jitter in it
	}
}

// state is how a key stands that Redis says this of.
func state(timing pacing.Timing, kind string, ttl time.Duration) KeyState {
	switch {
	case ttl == guard.Missing || kind == "none":
		return KeyMissing
	case kind != "string" || ttl == guard.NoExpiry:
		return KeyIgnored
	case timing.UntilStale(ttl) < 0:
		return KeyStale
	}
	return KeyFresh
}
