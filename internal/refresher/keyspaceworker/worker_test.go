// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
)

// running is a worker whose loop runs until the test ends.
func running(t *testing.T, opts Options, set *Settings, s *fakeStore) *Worker {
	w := New(opts, &Assignment{Settings: set, Store: s})
	go w.Run()
	t.Cleanup(func() {
		w.Stop()
		<-w.Done()
		s.users.Wait()
	})
	return w
}

// A key that never gets an expiry is looked at six times more, and then left alone.
func TestAKeyThatNeverExpiresIsNotLookedAtForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		s := &fakeStore{inspects: func(keys []string) []discover.Found {
			looks.Add(int64(len(keys)))
			return []discover.Found{{Key: keys[0], TTL: discover.NoExpiry, At: time.Now()}}
		}}
		w := running(t, options(), usual(), s)
		w.Told([]discover.Found{{Key: "product:1", TTL: discover.NoExpiry, At: time.Now()}})
		time.Sleep(5 * time.Minute)
		if n := looks.Load(); n != 6 {
			t.Errorf("%d looks, want 6", n)
		}
	})
}

// Whoever looks does not wait for a loop that hangs; and that it hangs is said.
func TestAWorkerThatIsStuckSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := running(t, options(), usual(), &fakeStore{})
		time.Sleep(time.Hour)
		if silent := w.Stuck(); silent > 0 {
			t.Errorf("a worker with nothing to do is said to be stuck for %s", silent)
		}
		stuck := make(chan struct{})
		w.do(func() { <-stuck })
		time.Sleep(2 * stuckAfter)
		if silent := w.Stuck(); silent < stuckAfter {
			t.Errorf("stuck for %s by its own word", silent)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if x := w.Explain(ctx, "product:1", store.Look{}, time.Now()); !x.Silent || x.Tracked {
			t.Errorf("of a key it says %+v", x)
		}
		if _, err := w.Heard(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("events are taken in with %v", err)
		}
		if s, _ := w.Snapshot(); s.Name != "products" {
			t.Errorf("its snapshot is %+v", s)
		}
		close(stuck)
		time.Sleep(time.Minute)
		if silent := w.Stuck(); silent > 0 {
			t.Errorf("stuck for %s, though it is not any more", silent)
		}
	})
}

// A password that is changed gives another store of the same Redis: nothing has to be
// seen anew. Another run of it does.
func TestOnlyAnotherRunOfANodeIsListedAnew(t *testing.T) {
	w := idle(t, usual())
	now := time.Now()
	listed := func(node, run string) {
		w.tracker.BeginListing(1)
		w.listingEnded(store.Listing{Number: 1, Node: node, Run: run, Nodes: []string{"a", "b"}}, now)
	}
	listed("a", "run 1")
	if w.account.listed {
		t.Error("listed, though a node is not")
	}
	listed("b", "run 2")
	if !w.account.listed {
		t.Error("not listed, though all nodes are")
	}
	w.startOver("a", "run 1", now)
	w.startOver("b", "run 2", now)
	if !w.account.listed {
		t.Error("begins anew with the same runs")
	}
	w.startOver("b", "run 3", now)
	if w.account.listed {
		t.Error("goes on with what another run held")
	}
	listed("a", "run 1")
	if w.account.listed {
		t.Error("listed, though another run of a node is not")
	}
	listed("b", "") // it does not tell its run
	if !w.account.listed {
		t.Error("not listed, though all nodes are again")
	}
}
