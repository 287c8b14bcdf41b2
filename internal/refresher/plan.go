// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspaceworker"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// ID names a policy.
type ID struct{ Namespace, Name string }

// String is namespace/name.
func (id ID) String() string { return id.Namespace + "/" + id.Name }

// Plan is a policy in plain values: all that the engine needs to know of it.
type Plan struct {
	Redis     redisconn.Config
	KeyEvents KeyEvents
	Keyspaces []Keyspace

	// Refresh asks for every key to be rebuilt once, whatever its age. A token
	// that the engine has not handled for this policy starts it; empty asks for
	// nothing.
	Refresh string

	// RefreshOnly narrows Refresh down to keyspaces, by name; empty means all. A
	// name that there is not stands for no key.
	RefreshOnly []string
}

// refresh is the token that a keyspace is to be refreshed for, if any.
func (p Plan) refresh(keyspace string) string {
	if len(p.RefreshOnly) > 0 && !slices.Contains(p.RefreshOnly, keyspace) {
		return ""
	}
	return p.Refresh
}

// assignment is what a worker is to do by the plan.
func (p Plan) assignment(set *keyspaceworker.Settings, s *sharedStore) *keyspaceworker.Assignment {
	return &keyspaceworker.Assignment{
		Settings: set, Store: s.Redis, Events: p.KeyEvents != Off, ConfigureEvents: p.KeyEvents == Configure, Demand: p.refresh(set.Name),
	}
}

// Keyspace is a family of keys that share a template, a loader and a lifetime.
type Keyspace struct {
	Name string

	// Key is the template (see package keyspace).
	Key string

	// Keys are kept: filled when they are missing. Without any, the keyspace
	// holds what the application put into Redis.
	Keys []string

	Expire       time.Duration // the TTL that a rebuild writes
	DueAfter     time.Duration // the age after which a key is stale: refresh ratio x Expire
	GuardTimeout time.Duration // the longest that a rebuild may take

	Loader        loader.Kind // how its values are loaded
	MaxConcurrent int         // loads at once
	MaxPerSecond  int         // loads begun per second; 0 for no limit
	OnNotFound    OnNotFound
	MaxNotFound   int // percent of the last answers, beyond which Delete acts as Keep; 100 for no limit
	OnMiss        OnMiss
}

// OnMiss says what a reader's miss leads to.
type OnMiss string

// The choices; empty is Ignore.
const (
	Ignore  OnMiss = "Ignore"
	Rebuild OnMiss = "Rebuild" // one load
)

// KeyEvents says what use to make of Redis' keyspace notifications.
type KeyEvents string

// The choices; empty is Auto.
const (
	Auto      KeyEvents = "Auto"      // listen where they come
	Off       KeyEvents = "Off"       // do not listen
	Configure KeyEvents = "Configure" // have Redis send what is missing
)

// OnNotFound says what becomes of a key whose loader answers "not found".
type OnNotFound string

// The choices.
const (
	Delete OnNotFound = "Delete" // delete it from Redis
	Keep   OnNotFound = "Keep"   // leave it to the rest of its lifetime
)

func (k Keyspace) kept() bool { return len(k.Keys) > 0 }

func (k Keyspace) timing() pacing.Timing {
	return pacing.NewTiming(k.Expire, k.DueAfter, k.GuardTimeout)
}

// PlanError says which keyspace of a plan cannot be worked on, and why.
type PlanError struct {
	Keyspace string
	Err      error
}

// Error names the keyspace and the cause.
func (e *PlanError) Error() string { return fmt.Sprintf("keyspace %q: %v", e.Keyspace, e.Err) }

// Unwrap is the cause.
func (e *PlanError) Unwrap() error { return e.Err }

// compile makes a keyspace ready for use.
func compile(k Keyspace, env loader.Environment) (*keyspaceworker.Settings, error) {
	fail := func(err error) (*keyspaceworker.Settings, error) { return nil, &PlanError{k.Name, err} }
	template, err := keyspace.Parse(k.Key)
	if err != nil {
		return fail(err)
	}
	for _, key := range k.Keys {
		if !template.Matches(key) {
			return fail(fmt.Errorf("the source key %q does not match the template %q", key, k.Key))
		}
	}
	if k.DueAfter <= 0 || k.DueAfter >= k.Expire || k.GuardTimeout <= 0 {
		return fail(fmt.Errorf("a key must become due (%s) between its writing and its expiry (%s), and guardTimeout (%s) must be positive",
			k.DueAfter, k.Expire, k.GuardTimeout))
	}
	k.MaxConcurrent = cmp.Or(k.MaxConcurrent, DefaultMaxConcurrent)
	k.MaxNotFound = cmp.Or(k.MaxNotFound, DefaultMaxNotFound)
	if k.Loader == nil {
		return fail(errors.New("it has no loader"))
	}
	env.MaxConcurrent = k.MaxConcurrent
	source, err := k.Loader.Open(template, env)
	if err != nil {
		return fail(err)
	}
	set := &keyspaceworker.Settings{
		Name: k.Name, Template: template, FillMissed: k.OnMiss == Rebuild,
		Rebuild: rebuild.Settings{
			Timing: k.timing(), GuardTimeout: k.GuardTimeout, Source: source,
			Limits: pacing.Limits{MaxConcurrent: k.MaxConcurrent, MaxPerSecond: k.MaxPerSecond, BatchSize: source.BatchSize()},
			Kept:   k.kept(), DeleteNotFound: k.OnNotFound == Delete, MaxNotFound: k.MaxNotFound,
		},
	}
	if k.kept() {
		set.Keys = k.Keys
	}
	return set, nil
}

// DefaultMaxConcurrent is how many loads of a keyspace run at once if its plan
// says nothing.
const DefaultMaxConcurrent = 6

// DefaultMaxNotFound is the MaxNotFound of a plan that says nothing.
const DefaultMaxNotFound = 30

// sameKeys says that two versions of a keyspace are about the same keys, so that
// what is known of them holds on.
func sameKeys(a, b *keyspaceworker.Settings) bool {
	return a.Template.String() == b.Template.String() && a.Rebuild.Kept == b.Rebuild.Kept
}

// Overlap says whether some key matches both templates. One that cannot be
// parsed overlaps with nothing.
func Overlap(a, b string) bool {
	x, _, _ := strings.Cut(a, "{")
	y, _, _ := strings.Cut(b, "{")
	if !strings.HasPrefix(x, y) && !strings.HasPrefix(y, x) {
		return false // most pairs, without parsing
	}
	ta, errA := keyspace.Parse(a)
	tb, errB := keyspace.Parse(b)
	return errA == nil && errB == nil && keyspace.Overlap(ta, tb)
}
