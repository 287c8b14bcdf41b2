// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"reflect"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

func TestMerge(t *testing.T) {
	now := time.Now()
	a := Snapshot{
		Redis: redisconn.Status{Reason: redisconn.Connected}, Watch: watch.Status{Reason: watch.Watching},
		Memory: Memory{Evicted: 3}, ShortestExpire: time.Second, Refreshed: "now",
		Keyspaces: []KeyspaceSnapshot{{
			Name: "products", Listed: true, Converged: true, Keys: 10, Fresh: 7, Stale: 2, Missing: 1, Late: 1, Ignored: 4,
			Required: 2, Achieved: 1.5, Slowest: time.Second, MaxRebuildTime: time.Minute, Loads: Loads{Succeeded: 100, Failed: 1},
			LastRefresh: now, OldestLoad: now.Add(-time.Minute), LoadersState: Succeeding, Losing: 0.2, NotFound: 1, Answers: 10,
			LastFailure: &Failure{Time: now.Add(-time.Hour), Reason: "Timeout"},
		}},
	}
	b := Snapshot{
		Redis: redisconn.Status{Reason: redisconn.ReadOnly}, Watch: watch.Status{Reason: watch.EventsNotSent},
		Memory: Memory{Evicted: 5}, ShortestExpire: 2 * time.Second,
		Keyspaces: []KeyspaceSnapshot{
			{
				Name: "products", Listed: true, Keys: 30, Fresh: 30, Ignored: 5,
				Required: 6, Achieved: 6, TooSlow: true, Slowest: 2 * time.Second, MaxRebuildTime: time.Minute, Loads: Loads{Succeeded: 300, Failed: 2},
				LastRefresh: now.Add(-time.Second), OldestLoad: now.Add(-time.Second), LoadersState: Failing, Untracked: 2, Queues: true,
				PausedUntil: now.Add(time.Minute), Answers: 5, LastFailure: &Failure{Time: now, Reason: "NotFound"},
			},
			{Name: "pages", Keys: 1, Fresh: 1},
		},
	}
	want := Snapshot{
		Redis: b.Redis, Watch: b.Watch, Memory: b.Memory, ShortestExpire: 2 * time.Second,
		Keyspaces: []KeyspaceSnapshot{
			{
				Name: "products", Listed: true, Keys: 40, Fresh: 37, Stale: 2, Missing: 1, Late: 1, Ignored: 5,
				Required: 8, Achieved: 7.5, TooSlow: true, Slowest: 2 * time.Second, MaxRebuildTime: time.Minute, Loads: Loads{Succeeded: 400, Failed: 3},
				LastRefresh: now, OldestLoad: now.Add(-time.Minute), LoadersState: Failing, Losing: 0.05, Untracked: 2, Queues: true,
				PausedUntil: now.Add(time.Minute), NotFound: 1, Answers: 15, LastFailure: &Failure{Time: now, Reason: "NotFound"},
			},
			{Name: "pages", Keys: 1, Fresh: 1},
		},
	}
	for sentence, got := range map[string]Snapshot{"one way round": Merge(a, b), "both engines say the same twice": Merge(Merge(a), Merge(b))} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v, want\n%+v", sentence, got, want)
		}
	}
	other := Merge(b, a)
	if k := other.Keyspaces[0]; k.Keys != 40 || k.LoadersState != Failing || k.Converged || other.Redis.Reason != redisconn.ReadOnly || other.Refreshed != "" {
		t.Errorf("the other way round: %+v", other)
	}
	if a.Keyspaces[0].Keys != 10 {
		t.Error("what was merged has changed")
	}
	if got := Merge(); !reflect.DeepEqual(got, Snapshot{}) {
		t.Errorf("of nothing: %+v", got)
	}
}
