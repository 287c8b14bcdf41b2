// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/human"
	"github.com/keepfresh/keepfresh/internal/refresher"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
	"github.com/keepfresh/keepfresh/internal/review"
)

// situation is all that a status is made of, besides the time.
type situation struct {
	policy   *cachev1alpha1.CachePolicy
	problem  *problem // nil if the spec is in force
	running  bool     // the engine has the policy, perhaps under a former spec
	snapshot refresher.Snapshot
}

// status is the status of a policy in a situation.
func status(s situation, now time.Time) cachev1alpha1.CachePolicyStatus {
	out := *s.policy.Status.DeepCopy()
	out.ObservedGeneration = s.policy.Generation
	out.Redis = s.policy.Spec.Redis.Addresses[0]
	out.LastMeasureTime = nil
	if s.running {
		out.LastMeasureTime = timestamp(now)
	}
	if s.running && s.snapshot.Refreshed != "" {
		out.LastHandledRefreshAt = s.snapshot.Refreshed
	}
	s.count(&out)
	s.judge(&out)
	return out
}

// count fills in the numbers. What was known before the engine began, or from
// another replica, stays where the engine has nothing newer.
func (s situation) count(out *cachev1alpha1.CachePolicyStatus) {
	before := out.Keyspaces
	out.Keyspaces, out.Keys, out.Stale, out.Missing, out.Fresh = nil, nil, nil, nil, ""
	if !s.running {
		return
	}
	var keys, fresh, stale, missing int64
	for _, k := range s.snapshot.Keyspaces {
		keys, fresh, stale, missing = keys+k.Keys, fresh+k.Fresh, stale+k.Stale, missing+k.Missing
		one := cachev1alpha1.KeyspaceStatus{
			Name: k.Name, Keys: k.Keys, Fresh: cachev1alpha1.FreshShare(k.Fresh, k.Keys),
			Stale: k.Stale, Missing: k.Missing, Ignored: k.Ignored,
			LastRefreshTime: timestamp(k.LastRefresh), OldestLoadTime: timestamp(k.OldestLoad),
		}
		if k.Listed {
			one.RequiredLoadsPerSecond, one.AchievedLoadsPerSecond = cachev1alpha1.LoadRate(k.Required), cachev1alpha1.LoadRate(k.Achieved)
		}
		if f := k.LastFailure; f != nil {
			one.LastFailure = &cachev1alpha1.Failure{Time: *timestamp(f.Time), Reason: f.Reason, Message: shorten(f.Message)}
		}
		if i := slices.IndexFunc(before, func(b cachev1alpha1.KeyspaceStatus) bool { return b.Name == k.Name }); i >= 0 {
			keepNewer(&one, before[i])
		}
		if t := one.LastRefreshTime; t != nil && (out.LastRefreshTime == nil || out.LastRefreshTime.Before(t)) {
			out.LastRefreshTime = t
		}
		out.Keyspaces = append(out.Keyspaces, one)
	}
	if listed(s.snapshot) {
		out.Keys, out.Stale, out.Missing = &keys, &stale, &missing
		out.Fresh = cachev1alpha1.FreshShare(fresh, keys)
	}
	if s.snapshot.Redis.Reason != redisconn.Connected { // the counts are the last known ones; a share would claim more
		out.Fresh = ""
		for i := range out.Keyspaces {
			out.Keyspaces[i].Fresh = ""
		}
	}
}

// keepNewer keeps what is newer before than now.
func keepNewer(now *cachev1alpha1.KeyspaceStatus, before cachev1alpha1.KeyspaceStatus) {
	if t := before.LastRefreshTime; now.LastRefreshTime == nil || now.LastRefreshTime.Before(t) {
		now.LastRefreshTime = t
	}
	if f := before.LastFailure; f != nil && (now.LastFailure == nil || now.LastFailure.Time.Before(&f.Time)) {
		now.LastFailure = f
	}
}

// verdict is a condition in the making.
type verdict struct {
	status          metav1.ConditionStatus
	reason, message string
}

// judge fills in the conditions. Ready is the first thing that is wrong.
func (s situation) judge(out *cachev1alpha1.CachePolicyStatus) {
	redis, loaders, fresh := s.redis(), s.loaders(), s.fresh()
	set := func(kind string, v verdict) {
		apimeta.SetStatusCondition(&out.Conditions, metav1.Condition{Type: kind, Status: v.status,
			Reason: v.reason, Message: shorten(v.message), ObservedGeneration: out.ObservedGeneration})
	}
	setIf := func(kind string, v verdict) { // exists only while True
		if v.status == metav1.ConditionTrue {
			set(kind, v)
		} else {
			apimeta.RemoveStatusCondition(&out.Conditions, kind)
		}
	}

	ready := verdict{metav1.ConditionTrue, cachev1alpha1.ReasonKeepingFresh, "all keyspaces are kept fresh"}
	var reconciling, stalled verdict
	switch {
	case s.problem != nil:
		ready = verdict{metav1.ConditionFalse, s.problem.reason, s.problem.message}
		stalled = verdict{metav1.ConditionTrue, s.problem.reason, s.problem.message}
	case s.policy.Spec.Suspend:
		ready = verdict{metav1.ConditionFalse, cachev1alpha1.ReasonSuspended, "spec.suspend is true: nothing is refreshed"}
	case redis.status == metav1.ConditionFalse:
		ready = redis
	case !settled(s.snapshot):
		ready = verdict{metav1.ConditionFalse, cachev1alpha1.ReasonDiscovering, "the keys in Redis are being listed, and those refreshed that are due"}
		reconciling = verdict{metav1.ConditionTrue, ready.reason, ready.message}
	case loaders.status == metav1.ConditionFalse:
		ready = loaders
	case fresh.status == metav1.ConditionFalse:
		ready = fresh
	}
	set(cachev1alpha1.ConditionReady, ready)
	setIf(cachev1alpha1.ConditionReconciling, reconciling)
	setIf(cachev1alpha1.ConditionStalled, stalled)
	set(cachev1alpha1.ConditionRedisReachable, redis)
	set(cachev1alpha1.ConditionLoadersHealthy, loaders)
	set(cachev1alpha1.ConditionFresh, fresh)
	set(cachev1alpha1.ConditionWatching, s.watching())
	setIf(cachev1alpha1.ConditionWarning, s.warning())
}

func (s situation) redis() verdict {
	if !s.running || s.snapshot.Redis.Reason == redisconn.NotConnected {
		return verdict{metav1.ConditionUnknown, cachev1alpha1.ReasonNotConnected, "not connected to Redis"}
	}
	v := verdict{metav1.ConditionFalse, string(s.snapshot.Redis.Reason), s.snapshot.Redis.Message}
	if s.snapshot.Redis.Reason == redisconn.Connected {
		v.status = metav1.ConditionTrue
	}
	return v
}

// loaders is the worst that there is to say of a loader: what follows from it stands
// in the order in which somebody has to act.
func (s situation) loaders() verdict {
	said := map[refresher.LoadersState][]string{}
	for _, k := range s.snapshot.Keyspaces {
		said[k.LoadersState] = append(said[k.LoadersState], tellLoader(k))
	}
	for _, is := range []struct {
		state         refresher.LoadersState
		reason, intro string
	}{
		{refresher.ManyNotFound, cachev1alpha1.ReasonManyNotFound, "nothing is deleted for onNotFound, as there is more of it than maxNotFoundPercent: "},
		{refresher.Denied, cachev1alpha1.ReasonEgressDenied, "nothing is loaded for "},
		{refresher.Failing, cachev1alpha1.ReasonLoadsFailing, "loads fail in a row for "},
		{refresher.Paused, cachev1alpha1.ReasonLoaderPaused, "a loader asked to be left alone, and keys expire meanwhile: "},
	} {
		if where := said[is.state]; len(where) > 0 {
			return verdict{metav1.ConditionFalse, is.reason, is.intro + strings.Join(where, ", ")}
		}
	}
	if s.running && (len(said[refresher.Succeeding]) > 0 || s.succeeded()) {
		return verdict{metav1.ConditionTrue, cachev1alpha1.ReasonLoadsSucceeding, "the loaders answer"}
	}
	return verdict{metav1.ConditionUnknown, cachev1alpha1.ReasonNoLoadsYet, "nothing has been loaded yet"}
}

// tellLoader is what there is to say of a keyspace's loader.
func tellLoader(k refresher.KeyspaceSnapshot) string {
	switch k.LoadersState {
	case refresher.ManyNotFound:
		return fmt.Sprintf("keyspace %q: %d of the last %d answers for keys that hold values say that there is none", k.Name, k.NotFound, k.Answers)
	case refresher.Denied, refresher.Failing:
		return fmt.Sprintf("%s (%s: %s)", k.Name, k.LastFailure.Reason, k.LastFailure.Message)
	case refresher.Paused:
		return fmt.Sprintf("keyspace %q until %s (Retry-After)", k.Name, k.PausedUntil.UTC().Format(time.RFC3339))
	}
	return ""
}

// succeeded says that loads did, when this was last told: a replica that becomes
// the leader has loaded nothing yet, as long as another went first.
func (s situation) succeeded() bool {
	return apimeta.IsStatusConditionTrue(s.policy.Status.Conditions, cachev1alpha1.ConditionLoadersHealthy)
}

func (s situation) fresh() verdict {
	if !s.running {
		return verdict{metav1.ConditionUnknown, cachev1alpha1.ReasonFreshnessUnknown, "nothing is refreshed, so nothing is measured"}
	}
	if s.snapshot.Redis.Reason != redisconn.Connected || !settled(s.snapshot) {
		return verdict{metav1.ConditionUnknown, cachev1alpha1.ReasonFreshnessUnknown, "the keys have not been counted, or Redis cannot be asked"}
	}
	var keys, late, missing, stale int64
	var slow, losing, crowded []string
	for _, k := range s.snapshot.Keyspaces {
		if k.Untracked > 0 {
			crowded = append(crowded, fmt.Sprintf("keyspace %q: %d keys are left out", k.Name, k.Untracked))
		}
		if k.Losing > 0 {
			losing = append(losing, fmt.Sprintf("keyspace %q: of %d keys, some %.0f are gone at each look, before their time", k.Name, k.Keys, k.Losing*float64(k.Keys)))
		}
		keys, late, missing, stale = keys+k.Keys, late+k.Late, missing+k.Missing, stale+k.Stale
		if k.TooSlow {
			slow = append(slow, fmt.Sprintf("keyspace %q needs %s loads/s, gets %s",
				k.Name, cachev1alpha1.LoadRate(k.Required), cachev1alpha1.LoadRate(k.Achieved)))
		}
	}
	switch message := fmt.Sprintf("of %d keys, %d are stale and %d are missing", keys, stale, missing); {
	case len(crowded) > 0:
		return verdict{metav1.ConditionFalse, cachev1alpha1.ReasonLimitReached, strings.Join(crowded, ", ") + ", as the keys of this namespace reach the operator's limit (--max-keys-per-namespace); " + message}
	case len(losing) > 0:
		return lost(losing, s.snapshot.Memory)
	case !refresher.TooLate(late, keys):
		return verdict{metav1.ConditionTrue, cachev1alpha1.ReasonKeysFresh, message}
	case len(slow) > 0:
		return verdict{metav1.ConditionFalse, cachev1alpha1.ReasonLoaderTooSlow, strings.Join(slow, ", ") + "; " + message}
	case missing > stale:
		return verdict{metav1.ConditionFalse, cachev1alpha1.ReasonKeysMissing, message}
	default:
		return verdict{metav1.ConditionFalse, cachev1alpha1.ReasonKeysStale, message}
	}
}

// lost says why keys are gone again and again.
func lost(where []string, memory refresher.Memory) verdict {
	text := strings.Join(where, ", ")
	switch {
	case memory.Evicted > 0:
		return verdict{metav1.ConditionFalse, cachev1alpha1.ReasonKeysEvicted,
			text + fmt.Sprintf("; Redis (maxmemory %s, %s) has evicted %d keys in the last minute: raise its maxmemory, or keep less in it", memory.Limit, memory.Policy, memory.Evicted)}
	case memory.Evicted < 0:
		return verdict{metav1.ConditionFalse, cachev1alpha1.ReasonKeysMissing, text + "; Redis does not tell (INFO stats) whether it evicts them, or somebody deletes them"}
	default:
		return verdict{metav1.ConditionFalse, cachev1alpha1.ReasonKeysMissing, text + "; Redis evicts nothing, so somebody deletes them"}
	}
}

// watching says by what new keys are found.
func (s situation) watching() verdict {
	if !s.running {
		return verdict{metav1.ConditionUnknown, cachev1alpha1.ReasonProbing, "nothing is refreshed, so nothing is looked for"}
	}
	w := s.snapshot.Watch
	v := verdict{metav1.ConditionFalse, string(w.Reason), w.Message}
	switch w.Reason {
	case "", watch.Probing:
		return verdict{metav1.ConditionUnknown, cachev1alpha1.ReasonProbing, "it is not known yet whether Redis sends key events"}
	case watch.Watching:
		return verdict{metav1.ConditionTrue, cachev1alpha1.ReasonKeyEvents, w.Message}
	case watch.Off:
		v.reason = cachev1alpha1.ReasonEventsOff
	case watch.Unavailable:
		v.reason = cachev1alpha1.ReasonEventsUnavailable
	}
	if shortest := s.snapshot.ShortestExpire; shortest > 0 && !w.Heard() {
		v.message += fmt.Sprintf(". New keys are found by listings, which is soon enough for an expire of %s or more", human.About(shortest))
	}
	return v
}

// warning says where keys expire while they are rebuilt, or where a guard timeout
// allows for that.
func (s situation) warning() verdict {
	var where []string
	for _, k := range s.snapshot.Keyspaces {
		if k.Slowest > k.MaxRebuildTime {
			where = append(where, fmt.Sprintf("keyspace %q: one in a hundred rebuilds takes about %s or longer, and a key expires %s after it can first be refreshed",
				k.Name, human.About(k.Slowest), human.Duration(k.MaxRebuildTime)))
		}
	}
	if len(where) > 0 {
		return verdict{metav1.ConditionTrue, cachev1alpha1.ReasonRebuildTooSlow,
			strings.Join(where, "; ") + ". Keys expire meanwhile: make the loader faster, or lengthen expire"}
	}
	for _, k := range s.snapshot.Keyspaces {
		if k.Queues {
			where = append(where, fmt.Sprintf("%q", k.Name))
		}
	}
	if len(where) > 0 {
		return verdict{metav1.ConditionTrue, cachev1alpha1.ReasonLimitReached, "loads of keyspace " + strings.Join(where, ", ") +
			" wait for their turn: this namespace has as many loads at once as the operator lets it (--max-loads-per-namespace)"}
	}
	for _, f := range review.TightGuards(s.policy) {
		where = append(where, f.Message)
	}
	if len(where) == 0 {
		return verdict{}
	}
	return verdict{metav1.ConditionTrue, cachev1alpha1.ReasonGuardTimeoutTooLong,
		strings.Join(where, "; ") + ". " + review.TightGuardsRemedy}
}

// listed says that all keyspaces have been read from Redis.
func listed(s refresher.Snapshot) bool {
	return !slices.ContainsFunc(s.Keyspaces, func(k refresher.KeyspaceSnapshot) bool { return !k.Listed })
}

// settled says that what was due in them at first has been refreshed.
func settled(s refresher.Snapshot) bool {
	return !slices.ContainsFunc(s.Keyspaces, func(k refresher.KeyspaceSnapshot) bool { return !k.Converged })
}

func timestamp(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Truncate(time.Second)}
}

// shorten keeps a message within what the schema takes.
func shorten(message string) string { return clip(message, 1024) }

// clip cuts a text off after so many bytes, and shows that it did.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-3], "") + "..."
}
