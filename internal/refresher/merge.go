// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"slices"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// Merge is how one version of a policy stands by the snapshots of all engines that share
// its keys: counts and rates add up, and of everything else the worst counts. Without a
// snapshot it is the zero Snapshot.
func Merge(snaps ...Snapshot) Snapshot {
	if len(snaps) == 0 {
		return Snapshot{}
	}
	all := snaps[0]
	all.Keyspaces = slices.Clone(all.Keyspaces)
	for _, s := range snaps[1:] {
		if all.Redis.Reason == redisconn.Connected {
			all.Redis = s.Redis
		}
		if all.Watch.Reason == watch.Watching {
			all.Watch = s.Watch
		}
		if s.Memory.Evicted > all.Memory.Evicted { // each engine asks the same Redis
			all.Memory = s.Memory
		}
		all.ShortestExpire = max(all.ShortestExpire, s.ShortestExpire)
		if s.Refreshed != all.Refreshed {
			all.Refreshed = ""
		}
		for _, k := range s.Keyspaces {
			i := slices.IndexFunc(all.Keyspaces, func(known KeyspaceSnapshot) bool { return known.Name == k.Name })
			if i < 0 {
				all.Keyspaces = append(all.Keyspaces, k)
				continue
			}
			all.Keyspaces[i] = mergeKeyspaces(all.Keyspaces[i], k)
		}
	}
	return all
}

func mergeKeyspaces(a, b KeyspaceSnapshot) KeyspaceSnapshot {
	if keys := a.Keys + b.Keys; keys > 0 { // a mean over all keys
		a.Losing = (a.Losing*float64(a.Keys) + b.Losing*float64(b.Keys)) / float64(keys)
	}
	a.Listed, a.Converged = a.Listed && b.Listed, a.Converged && b.Converged
	a.Keys, a.Fresh, a.Stale, a.Missing = a.Keys+b.Keys, a.Fresh+b.Fresh, a.Stale+b.Stale, a.Missing+b.Missing
	a.Late, a.Untracked = a.Late+b.Late, a.Untracked+b.Untracked
	a.Ignored = max(a.Ignored, b.Ignored) // keys without expiry are counted by all who list them
	a.Required, a.Achieved = a.Required+b.Required, a.Achieved+b.Achieved
	a.TooSlow, a.Queues = a.TooSlow || b.TooSlow, a.Queues || b.Queues
	a.Slowest, a.MaxRebuildTime = max(a.Slowest, b.Slowest), max(a.MaxRebuildTime, b.MaxRebuildTime)
	a.Loads.Succeeded, a.Loads.Failed = a.Loads.Succeeded+b.Loads.Succeeded, a.Loads.Failed+b.Loads.Failed
	a.LastRefresh, a.PausedUntil = latest(a.LastRefresh, b.LastRefresh), latest(a.PausedUntil, b.PausedUntil)
	if a.OldestLoad.IsZero() || !b.OldestLoad.IsZero() && b.OldestLoad.Before(a.OldestLoad) {
		a.OldestLoad = b.OldestLoad
	}
	if a.LastFailure == nil || b.LastFailure != nil && b.LastFailure.Time.After(a.LastFailure.Time) {
		a.LastFailure = b.LastFailure
	}
	if severity(b.LoadersState) > severity(a.LoadersState) {
		a.LoadersState = b.LoadersState
	}
	a.NotFound, a.Answers = a.NotFound+b.NotFound, a.Answers+b.Answers
	return a
}

// severity orders the states of loaders.
func severity(s LoadersState) int {
	return slices.Index([]LoadersState{NoLoads, Succeeding, Paused, ManyNotFound, Failing, Denied}, s)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
