// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// force is a refresh on demand: every key once, whatever its age.
type force struct {
	token   string // asked for
	handled string // every key was tried since
	running bool
	left    int
}

// ask begins a refresh on demand, unless that token was seen. It waits for the
// first listing, since only then all keys are known.
func (f *force) ask(token string, l *lane) {
	if token == "" || token == f.token {
		return
	}
	f.token, f.running = token, false
	if l.account.pass != 0 {
		f.start(l, time.Now())
	}
}

func (f *force) start(l *lane, now time.Time) {
	if f.running || f.token == f.handled {
		return
	}
	f.running, f.left = true, l.keys.Len()
	for id := range l.keys.All() {
		l.keys.Mark(id, forced)
		if !l.keys.Has(id, busy) {
			l.keys.Wait(id, now)
		}
	}
	f.finish()
}

// tried counts off a key that was tried, or that is not there any more.
func (f *force) tried(l *lane, id schedule.ID) {
	if l.keys.Has(id, forced) {
		l.keys.Unmark(id, forced)
		f.left--
		f.finish()
	}
}

func (f *force) finish() {
	if f.running && f.left == 0 {
		f.running, f.handled = false, f.token
	}
}
