// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"context"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

var _ store.Subscriber = (*Worker)(nil)

// Interest is what the worker wants to be told of.
func (w *Worker) Interest() store.Interest { return w.assigned.Load().interest() }

// Policy names its policy.
func (w *Worker) Policy() string { return w.opts.Policy }

// ListingBegan begins a listing.
func (w *Worker) ListingBegan(number uint64) {
	w.do(func() { w.tracker.BeginListing(number) })
}

// Found takes in what a listing found.
func (w *Worker) Found(found []discover.Found, number uint64) {
	w.do(func() { w.tracker.Found(found, number) })
}

// ListingEnded takes in the end of a listing.
func (w *Worker) ListingEnded(l store.Listing) {
	w.do(func() { w.listingEnded(l, time.Now()) })
}

func (w *Worker) listingEnded(l store.Listing, now time.Time) {
	if l.Failed {
		w.tracker.AbortListing(l.Number)
		return
	}
	w.tracker.EndListing(l.Number, l.Node, l.Holds, now)
	w.account.listing(l, now)
	if w.account.listed {
		w.tracker.StartDemand(now)
	}
	w.reportChange(now)
}

// Heard takes in key events, and returns the keys of which Redis is to be asked.
func (w *Worker) Heard(ctx context.Context, events []watch.Event) (ask []string, err error) {
	err = w.wait(ctx, func() {
		if !w.draining {
			ask = w.tracker.Heard(events, time.Now())
		}
	})
	if err != nil {
		return nil, err // the loop may yet write ask
	}
	return ask, nil
}

// Told takes in what Redis said of the keys of Heard.
func (w *Worker) Told(found []discover.Found) {
	w.do(func() { w.tracker.Told(found, time.Now()) })
}

// NodeCameUp forgets that the node was listed, if that was another run of it: what this
// one holds has to be seen again.
func (w *Worker) NodeCameUp(ctx context.Context, node, run string) {
	_ = w.wait(ctx, func() { w.startOver(node, run, time.Now()) })
}

func (w *Worker) startOver(node, run string, now time.Time) {
	if w.account.runs[node] == run {
		return
	}
	delete(w.account.runs, node)
	w.account.listed, w.account.converged = false, false
	w.account.losses, w.tracker.Refills = pacing.Losses{}, pacing.Refills{}
	w.reportChange(now)
}

// RedisFailed counts an error of Redis.
func (w *Worker) RedisFailed(why redisconn.Reason) { w.opts.Series.RedisFailed(why) }

// RedisChanged shows the status of Redis, and wakes the loop.
func (w *Worker) RedisChanged() {
	w.do(func() { w.opts.Series.RedisIs(w.current.Store.Status()) })
	w.opts.OnChange()
}

// EventsChanged has the status written again.
func (w *Worker) EventsChanged() { w.opts.OnChange() }

// Sample has the loop compare some keys with Redis, and returns how many.
func (w *Worker) Sample() int64 {
	keys := w.report.Load().Keys
	if keys == 0 {
		return 0
	}
	w.do(w.check)
	return min(keys, store.SampleSize)
}
