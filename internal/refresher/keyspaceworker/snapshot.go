// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
)

// Snapshot is how a keyspace stands. Keys = Fresh + Stale + Missing.
type Snapshot struct {
	Name string

	// Listed says that Redis was read through since the work began; before
	// that, the counts say nothing.
	Listed bool

	// Converged says that what was due at the first listing has been tried;
	// before that, the counts speak of what was found, not of what is kept.
	Converged bool

	Keys    int64
	Fresh   int64 // age up to refreshRatio x expire
	Stale   int64 // older, but there
	Missing int64 // should exist, and does not
	Late    int64 // those stale or missing for longer than a rebuild should take
	Ignored int64 // match the template, but are no strings or have no expiry

	Required float64 // loads per second that keep all keys fresh
	Achieved float64 // loads per second that succeeded, over the last minute
	TooSlow  bool    // more keys are late than may be, as the loader cannot do what is required

	Slowest        time.Duration // 99 of 100 rebuilds take no longer; zero before the first
	MaxRebuildTime time.Duration // the longest that a rebuild may take, or the key expires

	Loads        Loads
	LastRefresh  time.Time // the last commit; zero if there was none
	OldestLoad   time.Time // when the oldest value was loaded; zero without keys
	LastFailure  *rebuild.Failure
	LoadersState LoadersState

	// Losing is the share of the keys that are gone at a look, though they were thought
	// fresh, where that is so again and again; else 0. Keys that need not exist count as
	// far as Redis evicts keys.
	Losing float64

	Untracked int64 // keys that are left out, as the namespace's limit is reached
	Queues    bool  // loads wait for those of the namespace's other keyspaces

	NotFound, Answers int       // of the last answers for keys that hold values
	PausedUntil       time.Time // the loader asked to be left alone until then, for longer than keys may be late
}

// LoadersState says whether a keyspace's loads succeed.
type LoadersState string

// The states.
const (
	NoLoads    LoadersState = ""           // none has ended yet
	Succeeding LoadersState = "Succeeding" // also if some keys fail
	Failing    LoadersState = "Failing"    // several in a row failed
	Denied     LoadersState = "Denied"     // as several in a row failed that the operator's rules forbid
	Paused     LoadersState = "Paused"     // the loader asked to be left alone (Retry-After)

	// So many keys that hold values are not found that none is deleted for it.
	ManyNotFound LoadersState = "ManyNotFound"
)

// Loads counts loads since the work began.
type Loads struct{ Succeeded, Failed int64 }

// LateShare is the share of a policy's keys that may be late while it still
// counts as fresh.
const LateShare = 0.01

// TooLate says whether so many of the keys are late that they are not fresh.
func TooLate(late, keys int64) bool { return float64(late) > LateShare*float64(keys) }
