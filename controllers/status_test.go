// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 500, time.UTC)

// healthy is the snapshot of a keyspace that is well.
func healthy(name string, keys int64) refresher.KeyspaceSnapshot {
	return refresher.KeyspaceSnapshot{
		Name: name, Listed: true, Converged: true, Keys: keys, Fresh: keys,
		LastRefresh: now.Add(-time.Second), OldestLoad: now.Add(-20 * time.Second), LoadersState: refresher.Succeeding,
	}
}

// well is the situation of a policy of which nothing is to be said.
func well(change ...func(*situation)) situation {
	s := situation{
		policy: catalog(), running: true,
		snapshot: refresher.Snapshot{
			Redis:     redisconn.Status{Reason: redisconn.Connected, Message: "Redis 7.0.15 answers"},
			Keyspaces: []refresher.KeyspaceSnapshot{healthy("products", 10)},
		},
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

// The ways in which a situation may not be well.
func broken(s *situation) {
	s.problem = problemf(cachev1alpha1.ReasonSecretNotFound, "there is no Secret")
}
func suspended(s *situation) {
	s.policy.Spec.Suspend, s.running, s.snapshot = true, false, refresher.Snapshot{}
}
func redisDown(s *situation) {
	s.snapshot.Redis = redisconn.Status{Reason: redisconn.ConnectionFailed, Message: "no connection: refused"}
}
func unlisted(s *situation)  { s.snapshot.Keyspaces[0] = refresher.KeyspaceSnapshot{Name: "products"} }
func unsettled(s *situation) { s.snapshot.Keyspaces[0].Converged = false }
func loaderDown(s *situation) {
	s.snapshot.Keyspaces[0].LoadersState = refresher.Failing
	s.snapshot.Keyspaces[0].LastFailure = &refresher.Failure{Time: now, Reason: "Timeout", Message: "key \"product:1\": no answer"}
}
func stale(s *situation) {
	k := &s.snapshot.Keyspaces[0]
	k.Fresh, k.Stale, k.Late = 5, 5, 5
}
func missing(s *situation) {
	k := &s.snapshot.Keyspaces[0]
	k.Fresh, k.Stale, k.Missing, k.Late = 4, 2, 4, 6
}
func tooSlow(s *situation) {
	k := &s.snapshot.Keyspaces[0]
	k.Required, k.Achieved, k.TooSlow = 1600.2, 899.9, true
}
func outlasted(s *situation) {
	k := &s.snapshot.Keyspaces[0]
	k.Slowest, k.MaxRebuildTime = 2500*time.Millisecond, 2*time.Second
}
func longGuard(s *situation) { s.policy.Spec.GuardTimeout = span(23 * time.Second) }

// conditions are those of a status in one line each: type, status, reason.
func conditions(s cachev1alpha1.CachePolicyStatus) map[string]string {
	out := map[string]string{}
	for _, c := range s.Conditions {
		out[c.Type] = string(c.Status) + " " + c.Reason
	}
	return out
}

func TestConditions(t *testing.T) {
	const (
		ready, reconciling, stalled = cachev1alpha1.ConditionReady, cachev1alpha1.ConditionReconciling, cachev1alpha1.ConditionStalled
		redis, loaders, fresh       = cachev1alpha1.ConditionRedisReachable, cachev1alpha1.ConditionLoadersHealthy, cachev1alpha1.ConditionFresh
		warning                     = cachev1alpha1.ConditionWarning
		no                          = "" // the condition does not exist
	)
	tests := map[string]struct {
		situation situation
		want      map[string]string // what is not in it is not looked at
		message   map[string]string
	}{
		"a policy that is well": {
			situation: well(),
			want: map[string]string{ready: "True KeepingFresh", reconciling: no, stalled: no, warning: no,
				redis: "True Connected", loaders: "True LoadsSucceeding", fresh: "True KeysFresh"},
			message: map[string]string{redis: "Redis 7.0.15 answers", fresh: "of 10 keys, 0 are stale and 0 are missing"},
		},
		"a spec that cannot come into force stalls, and Ready says why": {
			situation: well(broken),
			want: map[string]string{ready: "False SecretNotFound", stalled: "True SecretNotFound", reconciling: no,
				redis: "True Connected", fresh: "True KeysFresh"},
			message: map[string]string{ready: "there is no Secret", stalled: "there is no Secret"},
		},
		"a spec that never came into force tells nothing of Redis": {
			situation: well(broken, func(s *situation) { s.running, s.snapshot = false, refresher.Snapshot{} }),
			want: map[string]string{ready: "False SecretNotFound", redis: "Unknown NotConnected",
				loaders: "Unknown NoLoadsYet", fresh: "Unknown FreshnessUnknown"},
		},
		"a suspended policy says so, and is not stalled": {
			situation: well(suspended),
			want: map[string]string{ready: "False Suspended", stalled: no, reconciling: no, redis: "Unknown NotConnected",
				loaders: "Unknown NoLoadsYet", fresh: "Unknown FreshnessUnknown"},
		},
		"before the first connection a policy is on its way": {
			situation: well(unlisted, func(s *situation) { s.snapshot.Redis = redisconn.Status{Reason: redisconn.NotConnected} }),
			want:      map[string]string{ready: "False Discovering", reconciling: "True Discovering", redis: "Unknown NotConnected"},
		},
		"before the first listing a policy is on its way": {
			situation: well(unlisted),
			want: map[string]string{ready: "False Discovering", reconciling: "True Discovering", stalled: no,
				redis: "True Connected", loaders: "Unknown NoLoadsYet", fresh: "Unknown FreshnessUnknown"},
		},
		"until what was due at first has been refreshed a policy is on its way, with its numbers": {
			situation: well(unsettled, stale),
			want: map[string]string{ready: "False Discovering", reconciling: "True Discovering", stalled: no,
				redis: "True Connected", loaders: "True LoadsSucceeding", fresh: "Unknown FreshnessUnknown"},
		},
		"Ready takes over what is wrong with Redis": {
			situation: well(redisDown),
			want: map[string]string{ready: "False ConnectionFailed", redis: "False ConnectionFailed", reconciling: no, stalled: no,
				fresh: "Unknown FreshnessUnknown"},
			message: map[string]string{ready: "no connection: refused"},
		},
		"Ready takes over what is wrong with loaders": {
			situation: well(loaderDown),
			want:      map[string]string{ready: "False LoadsFailing", loaders: "False LoadsFailing", fresh: "True KeysFresh"},
			message:   map[string]string{ready: `products (Timeout: key "product:1": no answer)`},
		},
		"that nothing is deleted goes before that loads fail": {
			situation: well(loaderDown, func(s *situation) {
				lost := healthy("pages", 3)
				lost.LoadersState, lost.NotFound, lost.Answers = refresher.ManyNotFound, 45, 100
				s.snapshot.Keyspaces = append(s.snapshot.Keyspaces, lost)
			}),
			want:    map[string]string{ready: "False ManyNotFound", loaders: "False ManyNotFound"},
			message: map[string]string{loaders: `keyspace "pages": 45 of the last 100 answers for keys that hold values say that there is none`},
		},
		"a loader that asked to be left alone is, until then": {
			situation: well(func(s *situation) {
				k := &s.snapshot.Keyspaces[0]
				k.LoadersState, k.PausedUntil = refresher.Paused, time.Date(2026, 11, 27, 4, 0, 0, 0, time.UTC)
			}),
			want:    map[string]string{ready: "False LoaderPaused", loaders: "False LoaderPaused"},
			message: map[string]string{loaders: `keyspace "products" until 2026-11-27T04:00:00Z (Retry-After)`},
		},
		"a loader that may not be called is told by a reason of its own": {
			situation: well(loaderDown, func(s *situation) {
				s.snapshot.Keyspaces[0].LoadersState = refresher.Denied
				s.snapshot.Keyspaces[0].LastFailure = &refresher.Failure{Time: now, Reason: "EgressDenied", Message: "link-local addresses are denied by default"}
			}),
			want:    map[string]string{ready: "False EgressDenied", loaders: "False EgressDenied"},
			message: map[string]string{loaders: "nothing is loaded for products (EgressDenied: link-local"},
		},
		"keys that are evicted again and again are not fresh, though none is late": {
			situation: well(func(s *situation) {
				s.snapshot.Keyspaces[0].Losing = 0.3
				s.snapshot.Memory = refresher.Memory{Evicted: 1200, Limit: "4.00M", Policy: "allkeys-lru"}
			}),
			want:    map[string]string{ready: "False KeysEvicted", fresh: "False KeysEvicted"},
			message: map[string]string{fresh: "some 3 are gone at each look, before their time; Redis (maxmemory 4.00M, allkeys-lru) has evicted 1200 keys"},
		},
		"keys that are left out are not fresh": {
			situation: well(func(s *situation) { s.snapshot.Keyspaces[0].Untracked = 7 }),
			want:      map[string]string{ready: "False LimitReached", fresh: "False LimitReached"},
			message:   map[string]string{fresh: `7 keys are left out, as the keys of this namespace reach the operator's limit (--max-keys-per-namespace)`},
		},
		"loads that wait for their turn are told": {
			situation: well(func(s *situation) { s.snapshot.Keyspaces[0].Queues = true }),
			want:      map[string]string{ready: "True KeepingFresh", warned: "True LimitReached"},
			message:   map[string]string{warned: "--max-loads-per-namespace"},
		},
		"keys that are deleted again and again are not fresh either": {
			situation: well(func(s *situation) { s.snapshot.Keyspaces[0].Losing = 0.3 }),
			want:      map[string]string{ready: "False KeysMissing", fresh: "False KeysMissing"},
			message:   map[string]string{fresh: "so somebody deletes them"},
		},
		"where Redis does not tell of evictions, none is claimed nor ruled out": {
			situation: well(func(s *situation) { s.snapshot.Keyspaces[0].Losing, s.snapshot.Memory.Evicted = 0.3, -1 }),
			want:      map[string]string{fresh: "False KeysMissing"},
			message:   map[string]string{fresh: "Redis does not tell (INFO stats) whether it evicts them"},
		},
		"one loader that fails is not hidden by one that works": {
			situation: well(loaderDown, func(s *situation) { s.snapshot.Keyspaces = append(s.snapshot.Keyspaces, healthy("pages", 3)) }),
			want:      map[string]string{loaders: "False LoadsFailing"},
		},
		"Ready takes over that keys are stale": {
			situation: well(stale),
			want:      map[string]string{ready: "False KeysStale", fresh: "False KeysStale"},
			message:   map[string]string{fresh: "of 10 keys, 5 are stale and 0 are missing"},
		},
		"where most of the late keys are missing, that is the reason": {
			situation: well(missing),
			want:      map[string]string{ready: "False KeysMissing", fresh: "False KeysMissing"},
		},
		"where the loader cannot do what is required, that is the reason, with both numbers": {
			situation: well(missing, tooSlow, func(s *situation) { s.snapshot.Keyspaces = append(s.snapshot.Keyspaces, healthy("pages", 3)) }),
			want:      map[string]string{ready: "False LoaderTooSlow", fresh: "False LoaderTooSlow"},
			message:   map[string]string{fresh: `keyspace "products" needs 1600 loads/s, gets 900; of 13 keys, 2 are stale and 4 are missing`},
		},
		"rebuilds that take longer than keys live are warned about, rather than that they may": {
			situation: well(outlasted, longGuard),
			want:      map[string]string{ready: "True KeepingFresh", warning: "True RebuildTooSlow"},
			message:   map[string]string{warning: `keyspace "products": one in a hundred rebuilds takes about 2.5s or longer, and a key expires 2s after it can first be refreshed`},
		},
		"a stale key among a hundred is not worth a word": {
			situation: well(func(s *situation) {
				s.snapshot.Keyspaces[0] = healthy("products", 100)
				s.snapshot.Keyspaces[0].Fresh, s.snapshot.Keyspaces[0].Late, s.snapshot.Keyspaces[0].Stale = 99, 1, 1
			}),
			want: map[string]string{ready: "True KeepingFresh", fresh: "True KeysFresh"},
		},
		"a policy without keys is fresh": {
			situation: well(func(s *situation) {
				s.snapshot.Keyspaces[0] = refresher.KeyspaceSnapshot{Name: "products", Listed: true, Converged: true}
			}),
			want: map[string]string{ready: "True KeepingFresh", fresh: "True KeysFresh", loaders: "Unknown NoLoadsYet"},
		},
		"a guardTimeout that is longer than the rest of a key's life is warned about": {
			situation: well(longGuard),
			want:      map[string]string{ready: "True KeepingFresh", warning: "True GuardTimeoutTooLong"},
			message:   map[string]string{warning: `keyspace "products": guardTimeout 23s is not less than the 22.8s`},
		},

		"a problem goes before suspend":         {situation: well(broken, suspended), want: map[string]string{ready: "False SecretNotFound"}},
		"a problem goes before Redis":           {situation: well(broken, redisDown), want: map[string]string{ready: "False SecretNotFound"}},
		"suspend goes before Redis":             {situation: well(redisDown, func(s *situation) { s.policy.Spec.Suspend = true }), want: map[string]string{ready: "False Suspended"}},
		"Redis goes before the first listing":   {situation: well(redisDown, unlisted), want: map[string]string{ready: "False ConnectionFailed", reconciling: no}},
		"the first listing goes before loaders": {situation: well(unsettled, loaderDown), want: map[string]string{ready: "False Discovering", loaders: "False LoadsFailing"}},
		"loaders go before freshness":           {situation: well(loaderDown, stale), want: map[string]string{ready: "False LoadsFailing", fresh: "False KeysStale"}},
		"one keyspace that is not listed is enough": {
			situation: well(func(s *situation) {
				s.snapshot.Keyspaces = append(s.snapshot.Keyspaces, refresher.KeyspaceSnapshot{Name: "new"})
			}),
			want: map[string]string{ready: "False Discovering", fresh: "Unknown FreshnessUnknown"},
		},
	}
	for reason := range map[redisconn.Reason]bool{redisconn.AuthenticationFailed: true, redisconn.TLSFailed: true, redisconn.PermissionDenied: true,
		redisconn.VersionUnsupported: true, redisconn.ReadOnly: true, redisconn.Loading: true, redisconn.OutOfMemory: true, redisconn.EgressDenied: true} {
		test := tests["a policy that is well"]
		test.situation = well(func(s *situation) { s.snapshot.Redis = redisconn.Status{Reason: reason, Message: "because"} })
		test.want = map[string]string{ready: "False " + string(reason), redis: "False " + string(reason)}
		test.message = map[string]string{ready: "because"}
		tests["Ready takes over "+string(reason)] = test
	}

	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := status(test.situation, now)
			is := conditions(got)
			for kind, want := range test.want {
				if is[kind] != want {
					t.Errorf("%s is %q, want %q", kind, is[kind], want)
				}
			}
			for kind, want := range test.message {
				if c := apimeta.FindStatusCondition(got.Conditions, kind); c == nil || !strings.Contains(c.Message, want) {
					t.Errorf("%s does not say %q: %+v", kind, want, c)
				}
			}
			for _, kind := range []string{ready, redis, loaders, fresh} {
				if is[kind] == "" {
					t.Errorf("%s is not there", kind)
				}
			}
			for _, c := range got.Conditions {
				if c.ObservedGeneration != 3 || c.LastTransitionTime.IsZero() || c.Message == "" {
					t.Errorf("not complete: %+v", c)
				}
				if only := c.Type == reconciling || c.Type == stalled || c.Type == warning; only && c.Status != metav1.ConditionTrue {
					t.Errorf("%s exists although it is %s", c.Type, c.Status)
				}
			}
		})
	}
}

func TestAReplicaThatHasNotLoadedYetDoesNotTakeBackThatLoadsSucceed(t *testing.T) {
	for sentence, c := range map[string]struct {
		before situation
		want   string
	}{
		"they did":     {well(), "True LoadsSucceeding"},
		"they did not": {well(loaderDown), "Unknown NoLoadsYet"},
		"none had yet": {well(unlisted), "Unknown NoLoadsYet"},
	} {
		s := well(func(s *situation) { s.snapshot.Keyspaces[0].LoadersState = refresher.NoLoads })
		s.policy.Status = status(c.before, now)
		if got := conditions(status(s, now))[cachev1alpha1.ConditionLoadersHealthy]; got != c.want {
			t.Errorf("%s: %s, want %s", sentence, got, c.want)
		}
	}
}

// Another replica may have been the leader, and have done what this one has not.
func TestWhatIsNewerThanWhatTheEngineKnowsStays(t *testing.T) {
	later := metav1.NewTime(now.Add(time.Minute).Truncate(time.Second))
	s := well(loaderDown)
	s.policy.Status.Keyspaces = []cachev1alpha1.KeyspaceStatus{{Name: "products", LastRefreshTime: &later,
		LastFailure: &cachev1alpha1.Failure{Time: later, Reason: "Timeout", Message: "of another replica"}}}
	got := status(s, now)
	if k := got.Keyspaces[0]; !k.LastRefreshTime.Equal(&later) || !got.LastRefreshTime.Equal(&later) || k.LastFailure.Message != "of another replica" {
		t.Errorf("got %+v", got)
	}
}

func TestConditionsThatHaveBeenTrueGoWhenTheyAreNot(t *testing.T) {
	s := well(broken, longGuard)
	s.policy.Status = status(s, now)
	if is := conditions(s.policy.Status); is[cachev1alpha1.ConditionStalled] == "" || is[cachev1alpha1.ConditionWarning] == "" {
		t.Fatalf("got %v", is)
	}
	after := well()
	after.policy.Status = s.policy.Status
	if is := conditions(status(after, now)); is[cachev1alpha1.ConditionStalled] != "" || is[cachev1alpha1.ConditionWarning] != "" || len(is) != 5 {
		t.Errorf("got %v", is)
	}
}

func TestAConditionThatStaysKeepsItsTime(t *testing.T) {
	s := well()
	s.policy.Status = status(s, now)
	long := metav1.NewTime(now.Add(-time.Hour))
	for i := range s.policy.Status.Conditions {
		s.policy.Status.Conditions[i].LastTransitionTime = long
	}
	loaderDown(&s)
	for _, c := range status(s, now).Conditions {
		changed := c.Type == cachev1alpha1.ConditionReady || c.Type == cachev1alpha1.ConditionLoadersHealthy
		if changed == c.LastTransitionTime.Equal(&long) {
			t.Errorf("%s has the time %s", c.Type, c.LastTransitionTime)
		}
	}
}

func TestNumbers(t *testing.T) {
	two := func(s *situation) {
		k := healthy("pages", 10)
		k.Fresh, k.Stale, k.Missing, k.Ignored, k.LastRefresh = 7, 2, 1, 4, now.Add(-time.Minute)
		s.snapshot.Keyspaces = append(s.snapshot.Keyspaces, k)
	}
	got := status(well(two), now)
	if *got.Keys != 20 || *got.Stale != 2 || *got.Missing != 1 || got.Fresh != "85%" && got.Fresh != "85.0%" {
		t.Errorf("sums: %d keys, %d stale, %d missing, %s fresh", *got.Keys, *got.Stale, *got.Missing, got.Fresh)
	}
	if got.ObservedGeneration != 3 || got.Redis != "redis.shop.svc:6379" {
		t.Errorf("generation %d, redis %s", got.ObservedGeneration, got.Redis)
	}
	if !got.LastMeasureTime.Equal(&metav1.Time{Time: now.Truncate(time.Second)}) {
		t.Errorf("measured at %s", got.LastMeasureTime)
	}
	if want := (&metav1.Time{Time: now.Add(-time.Second).Truncate(time.Second)}); !got.LastRefreshTime.Equal(want) {
		t.Errorf("the last refresh is that of the keyspace refreshed last: got %s", got.LastRefreshTime)
	}
	pages := got.Keyspaces[1]
	if pages.Name != "pages" || pages.Keys != 10 || pages.Fresh != "70.0%" || pages.Stale != 2 || pages.Missing != 1 || pages.Ignored != 4 {
		t.Errorf("pages: %+v", pages)
	}
}

func TestWhatIsNotKnownIsNotSaid(t *testing.T) {
	for name, s := range map[string]situation{
		"a policy that is not at work": well(suspended),
		"a listing that has not ended": well(unlisted),
	} {
		t.Run(name, func(t *testing.T) {
			s.policy.Status.Keys, s.policy.Status.Fresh = new(int64(7)), "100%"
			got := status(s, now)
			if got.Keys != nil || got.Stale != nil || got.Missing != nil || got.Fresh != "" {
				t.Errorf("%v keys, %v stale, %v missing, %q fresh", got.Keys, got.Stale, got.Missing, got.Fresh)
			}
			if (got.LastMeasureTime != nil) != s.running {
				t.Errorf("measured at %v", got.LastMeasureTime)
			}
		})
	}
}

func TestNoShareIsFreshWhereRedisCannotBeAsked(t *testing.T) {
	got := status(well(redisDown), now)
	if got.Fresh != "" || got.Keyspaces[0].Fresh != "" {
		t.Errorf("fresh: %q, of the keyspace %q", got.Fresh, got.Keyspaces[0].Fresh)
	}
	if got.Keys == nil || *got.Keys != 10 {
		t.Errorf("the keys that were there last are not counted: %v", got.Keys)
	}
}

func TestWhatWasKnownBeforeARestartStays(t *testing.T) {
	then := metav1.NewTime(now.Add(-time.Hour).Truncate(time.Second))
	failure := &cachev1alpha1.Failure{Time: then, Reason: "Timeout", Message: "long ago"}
	before := func(s *situation) {
		s.policy.Status.LastRefreshTime = &then
		s.policy.Status.LastHandledRefreshAt = "token"
		s.policy.Status.Keyspaces = []cachev1alpha1.KeyspaceStatus{
			{Name: "products", Keys: 99, LastRefreshTime: &then, LastFailure: failure, OldestLoadTime: &then},
			{Name: "removed", LastRefreshTime: &then},
		}
	}
	got := status(well(unlisted, before), now)
	if len(got.Keyspaces) != 1 {
		t.Fatalf("keyspaces: %+v", got.Keyspaces)
	}
	k := got.Keyspaces[0]
	if !k.LastRefreshTime.Equal(&then) || k.LastFailure.Message != "long ago" || !got.LastRefreshTime.Equal(&then) || got.LastHandledRefreshAt != "token" {
		t.Errorf("lost: %+v", got)
	}
	if k.Keys != 0 || k.OldestLoadTime != nil {
		t.Errorf("numbers of a former life: %+v", k)
	}

	got = status(well(loaderDown, before), now)
	if k := got.Keyspaces[0]; k.LastFailure.Reason != "Timeout" || k.LastFailure.Message == "long ago" || !k.LastRefreshTime.After(then.Time) {
		t.Errorf("what is newer does not go first: %+v", k)
	}
}

func TestARefreshOnDemandIsEchoedWhenItIsDone(t *testing.T) {
	s := well(func(s *situation) { s.policy.Status.LastHandledRefreshAt = "one" })
	if got := status(s, now).LastHandledRefreshAt; got != "one" {
		t.Errorf("got %q before the second is done", got)
	}
	s.snapshot.Refreshed = "two"
	if got := status(s, now).LastHandledRefreshAt; got != "two" {
		t.Errorf("got %q when the second is done", got)
	}
}

func TestShorten(t *testing.T) {
	tests := map[string]struct{ message, want string }{
		"what fits stays":                  {strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
		"what does not is cut to fit":      {strings.Repeat("x", 1025), strings.Repeat("x", 1021) + "..."},
		"no character is cut in two":       {strings.Repeat("x", 1020) + "ßßß", strings.Repeat("x", 1020) + "..."},
		"an empty message stays empty":     {"", ""},
		"what is not text does not matter": {strings.Repeat("\xff", 2000), "..."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := shorten(test.message); got != test.want || !utf8.ValidString(got) || len(got) > 1024 {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestMessagesFitIntoTheSchema(t *testing.T) {
	s := well(loaderDown)
	s.snapshot.Keyspaces[0].LastFailure.Message = strings.Repeat("ß", 2000)
	s.problem = problemf(cachev1alpha1.ReasonInvalidSpec, "%s", strings.Repeat("x", 40000))
	got := status(s, now)
	for _, c := range got.Conditions {
		if len(c.Message) > 1024 {
			t.Errorf("%s has a message of %d bytes", c.Type, len(c.Message))
		}
	}
	if m := got.Keyspaces[0].LastFailure.Message; len(m) > 1024 || !utf8.ValidString(m) {
		t.Errorf("a failure has a message of %d bytes", len(m))
	}
}
