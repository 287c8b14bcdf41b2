// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"sync"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspaceworker/tracker"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
)

// Limits bound what the policies of one namespace may have an engine do and hold, so that
// one tenant's flood leaves another's freshness alone. Zero is no limit.
type Limits struct {
	Keys      int64 // that are kept fresh
	Loads     int   // calls to loaders at once, and with them their connections
	BodyBytes int64 // of answers larger than 64 KiB, at once
}

// tenants are the namespaces that have workers.
type tenants struct {
	limits Limits

	mu sync.Mutex
	of map[string]*tenant
}

// tenant is what the workers of a namespace share.
type tenant struct {
	workers int            // tenants.mu guards it
	quota   *tracker.Quota // of keys
	turns   *rebuild.Turns // of loads
	room    *loader.Room   // for large answers
}

// hold is the tenant of a namespace, for one more worker.
func (ts *tenants) hold(namespace string) *tenant {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.of[namespace]
	if t == nil {
		t = &tenant{
			quota: tracker.NewQuota(ts.limits.Keys), turns: rebuild.NewTurns(ts.limits.Loads), room: loader.NewRoom(ts.limits.BodyBytes),
		}
		if ts.of == nil {
			ts.of = map[string]*tenant{}
		}
		ts.of[namespace] = t
	}
	t.workers++
	return t
}

// release ends a worker's hold.
func (ts *tenants) release(namespace string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.of[namespace]; t != nil {
		if t.workers--; t.workers == 0 {
			delete(ts.of, namespace)
		}
	}
}
