// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// ID names a policy.
type ID struct{ Namespace, Name string }

// String is namespace/name.
func (id ID) String() string { return id.Namespace + "/" + id.Name }

// Plan is a policy in plain values: all that the engine needs to know of it.
type Plan struct {
	Redis     redisconn.Config
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
	KeyEvents     KeyEvents
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

// PlanError says which keyspace of a plan cannot be worked on, and why.
type PlanError struct {
	Keyspace string
	Err      error
}

// Error names the keyspace and the cause.
func (e *PlanError) Error() string { return fmt.Sprintf("keyspace %q: %v", e.Keyspace, e.Err) }

// Unwrap is the cause.
func (e *PlanError) Unwrap() error { return e.Err }

// settings is a Keyspace ready for use. It is never changed, only replaced.
type settings struct {
	Keyspace
	template *keyspace.Template
	loader   loader.Source
	timing   timing
}

func compile(k Keyspace, env loader.Environment) (*settings, error) {
	fail := func(err error) (*settings, error) { return nil, &PlanError{k.Name, err} }
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
	return &settings{Keyspace: k, template: template, loader: source, timing: newTiming(k)}, nil
}

// DefaultMaxConcurrent is how many loads of a keyspace run at once if its plan
// says nothing.
const DefaultMaxConcurrent = 6

// DefaultMaxNotFound is the MaxNotFound of a plan that says nothing.
const DefaultMaxNotFound = 30

func equal(a, b Keyspace) bool { return reflect.DeepEqual(a, b) }

// sameKeys says that two plans of a keyspace are about the same keys, so that
// what is known of them holds on.
func sameKeys(a, b Keyspace) bool { return a.Key == b.Key && a.kept() == b.kept() }

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
