// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package rebuild

import (
	"fmt"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
)

// Job is one key to rebuild. It does not change.
type Job struct {
	Key            string
	Tag            uint32    // the caller's own
	MaxBatch       int       // keys that one call may be for, this one among them
	Looked         time.Time // when the look at the key began
	Token          string    // of the refresh on demand that it serves, whatever the key's age
	Missed         bool      // by a reader: it is filled even if it is not kept
	LoadedRecently bool      // it was loaded so recently that only a loss makes it due
}

// Outcome is how the rebuild of one key ended.
type Outcome string

// The outcomes.
const (
	Committed Outcome = "committed" // loaded and written
	Deleted   Outcome = "deleted"   // the loader does not know the key, so it was deleted
	NotFound  Outcome = "not_found" // the loader does not know the key, and it was left as it is
	Changed   Outcome = "changed"   // an application wrote or deleted the key during the load, and won
	Failed    Outcome = "failed"    // by the loader, or by Redis
	Lost      Outcome = "lost"      // the guard was lost during the load
	Held      Outcome = "held"      // somebody else is rebuilding the key
	NotDue    Outcome = "not_due"   // rewritten since it was scheduled
	Gone      Outcome = "gone"      // deleted or expired since it was scheduled
	Ignored   Outcome = "ignored"   // no string, or without expiry
	Aborted   Outcome = "aborted"   // the work on the policy ended, or the load was called off
)

// Outcomes are all outcomes.
var Outcomes = []Outcome{Committed, Deleted, NotFound, Changed, Failed, Lost, Held, NotDue, Gone, Ignored, Aborted}

// Result is what became of a job.
type Result struct {
	Job
	Outcome     Outcome
	TTL         time.Duration      // of the key when it was acquired, or that a commit gave it; or guard.Missing, guard.NoExpiry
	Took        time.Duration      // time that the load took; 0 if there was none
	ReloadAfter time.Duration      // time for which the key is not to be loaded again
	Failure     *Failure           // why; of Failed, Lost, Ignored, NotFound and Deleted
	ByRedis     bool               // the failure is Redis' and not the loader's
	Filled      bool               // the key was missing when it was acquired
	RetryAfter  time.Duration      // for which the loader asked to be left alone
	MayBeOneKey bool               // the key may be why the call failed
	Call        *pacing.FailedCall // the call that several keys failed with; nil if it was for this key alone
	NoValue     loader.Reason      // why the load brought no value; empty if it did, or there was none
}

// Failure is why a rebuild failed.
type Failure struct {
	Time    time.Time
	Reason  string // a loader.Reason, or one of the reasons below
	Message string // holds no secret
}

// The reasons beside those of package loader.
const (
	WrongType  = "WrongType"  // the key is not a string
	NoExpiry   = "NoExpiry"   // the key has no TTL
	GuardLost  = "GuardLost"  // another took the guard during the load
	RedisError = "RedisError" // Redis refused a command, or was not reached
)

func failure(reason, format string, args ...any) *Failure {
	return &Failure{Time: time.Now(), Reason: reason, Message: fmt.Sprintf(format, args...)}
}
