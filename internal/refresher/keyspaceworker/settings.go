// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspaceworker/tracker"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
)

// Settings is a keyspace ready for use. It is never changed, only replaced.
type Settings struct {
	Name       string
	Template   *keyspace.Template
	Keys       []string // all keys that there are; nil if they have to be found
	FillMissed bool     // a key that a reader misses is filled
	Rebuild    rebuild.Settings
}

// tracking is what the settings mean for what is known of keys.
func (s *Settings) tracking() tracker.Config {
	return tracker.Config{
		Timing: s.Rebuild.Timing, Kept: s.Rebuild.Kept, BatchSize: s.Rebuild.Limits.BatchSize,
		MaxConcurrent: s.Rebuild.Limits.MaxConcurrent, FillMissed: s.FillMissed,
	}
}

// interest is what the worker wants to be told of.
func (a *Assignment) interest() store.Interest {
	return store.Interest{
		Template: a.Template, Keys: a.Keys, StaleAge: a.Rebuild.Timing.StaleAge,
		Events: a.Events, Misses: a.FillMissed, Configure: a.ConfigureEvents,
	}
}
