// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// demand is a refresh on demand: every key once, whatever its age.
type demand struct {
	token   string // that was asked for last
	handled string // the last one for which every key was tried
	running bool
	left    int // keys that are still to be tried
}

// Demand begins a refresh on demand, unless the token was seen before. It waits for
// StartDemand if it is not known yet which keys there are.
func (t *Tracker) Demand(token string, keysKnown bool, now time.Time) {
	if token == "" || token == t.demand.token {
		return
	}
	t.demand.token, t.demand.running = token, false
	if keysKnown {
		t.StartDemand(now)
	}
}

// StartDemand begins a refresh that was asked for, if there is one.
func (t *Tracker) StartDemand(now time.Time) {
	d := &t.demand
	if d.running || d.token == d.handled {
		return
	}
	d.running, d.left = true, t.Len()
	for id := range t.All() {
		t.Mark(id, Demanded)
		if !t.Has(id, Busy) {
			t.Wait(id, now)
		}
	}
	d.end()
}

// Demanded is the token that was asked for last, and Handled the last one for which every
// key was tried.
func (t *Tracker) Demanded() (token, handled string) { return t.demand.token, t.demand.handled }

// tried counts off a key that was tried, or that is not there any more.
func (t *Tracker) tried(id schedule.ID) {
	if t.Has(id, Demanded) {
		t.Unmark(id, Demanded)
		t.demand.left--
		t.demand.end()
	}
}

func (d *demand) end() {
	if d.running && d.left == 0 {
		d.running, d.handled = false, d.token
	}
}

// fulfils says whether a rebuild on demand has done what was asked for. What the
// application wrote or deleted meanwhile is newer than the request.
func fulfils(r rebuild.Result) bool {
	switch r.Outcome {
	case rebuild.Held, rebuild.Aborted, rebuild.Lost:
		return false
	case rebuild.Failed:
		return !r.ByRedis
	}
	return true
}
