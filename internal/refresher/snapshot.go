// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspaceworker"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
	"github.com/keepfresh/keepfresh/internal/refresher/telemetry"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// What a host reads, and packages below make.
type (
	// KeyspaceSnapshot is how a keyspace stands.
	KeyspaceSnapshot = keyspaceworker.Snapshot
	// LoadersState says whether a keyspace's loads succeed.
	LoadersState = keyspaceworker.LoadersState
	// Loads counts loads since the work began.
	Loads = keyspaceworker.Loads
	// Failure is why a rebuild failed.
	Failure = rebuild.Failure
	// Memory is what Redis says of its memory.
	Memory = store.Memory
	// Metric describes one of the engine's metrics.
	Metric = telemetry.Metric
	// Label is a label of a metric.
	Label = telemetry.Label
)

// The states of loaders.
const (
	NoLoads      = keyspaceworker.NoLoads
	Succeeding   = keyspaceworker.Succeeding
	Failing      = keyspaceworker.Failing
	Denied       = keyspaceworker.Denied
	Paused       = keyspaceworker.Paused
	ManyNotFound = keyspaceworker.ManyNotFound
)

// LateShare is the share of a policy's keys that may be late while it still
// counts as fresh.
const LateShare = keyspaceworker.LateShare

// TooLate says whether so many of the keys are late that they are not fresh.
func TooLate(late, keys int64) bool { return keyspaceworker.TooLate(late, keys) }

// Metrics describes all metrics that an Engine registers.
func Metrics() []Metric { return telemetry.Describe() }

// Snapshot is how a policy stands.
type Snapshot struct {
	Redis     redisconn.Status
	Watch     watch.Status       // of key events
	Keyspaces []KeyspaceSnapshot // in the plan's order

	Memory Memory

	// ShortestExpire is the shortest for which listings alone find each key before
	// it is stale, by the time that the last one took. 0 before the first, and for kept
	// keys.
	ShortestExpire time.Duration

	// Refreshed is the plan's Refresh token once every key that it is about was
	// tried since.
	Refreshed string
}

// Snapshot tells how a policy stands, and false if the engine does not have it.
func (e *Engine) Snapshot(id ID) (Snapshot, bool) {
	e.mu.Lock()
	defer e.mu.Unlock() // Apply moves workers from one policy to the next
	p := e.policies[id]
	if p == nil {
		return Snapshot{}, false
	}
	snap := Snapshot{Redis: redisconn.Status{Reason: redisconn.NotConnected}, Refreshed: p.plan.Refresh}
	if p.store != nil {
		snap.Redis = p.store.Status()
		snap.Watch = p.store.Watch()
		snap.Memory = p.store.Memory()
		if p.plan.KeyEvents == Off {
			snap.Watch = watch.Status{Reason: watch.Off, Message: "redis.keyEvents is Off"}
		}
	}
	snap.Keyspaces = make([]KeyspaceSnapshot, 0, len(p.plan.Keyspaces))
	for _, k := range p.plan.Keyspaces {
		if took := p.store.ListingTook(); took > 0 && !k.kept() {
			snap.ShortestExpire = max(snap.ShortestExpire, k.timing().ShortestListed(took, store.MinListPause))
		}
		of, handled := p.workers[k.Name].Snapshot()
		snap.Keyspaces = append(snap.Keyspaces, of)
		if token := p.plan.refresh(k.Name); token != "" && handled != token {
			snap.Refreshed = ""
		}
	}
	return snap, true
}
