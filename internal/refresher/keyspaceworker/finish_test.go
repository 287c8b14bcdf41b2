// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"fmt"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
)

// That Redis refuses does not make the loader's state, nor does a key that is
// no string; and a loader that is down stays so while Redis refuses too.
func TestWhoIsBlamed(t *testing.T) {
	byLoader := rebuild.Result{Outcome: rebuild.Failed, Failure: &rebuild.Failure{Reason: "Timeout"}}
	byRedis := rebuild.Result{Outcome: rebuild.Failed, Failure: &rebuild.Failure{Reason: rebuild.RedisError}, ByRedis: true}
	noString := rebuild.Result{Outcome: rebuild.Ignored, Failure: &rebuild.Failure{Reason: rebuild.WrongType}}
	loaded := rebuild.Result{Outcome: rebuild.Committed, TTL: time.Second}
	for what, c := range map[string]struct {
		ends []rebuild.Result
		want LoadersState
	}{
		"the loader, if it fails":                      {[]rebuild.Result{byLoader, byLoader, byLoader}, Failing},
		"Redis, if that fails":                         {[]rebuild.Result{loaded, byRedis, byRedis, byRedis}, Succeeding},
		"Redis, though a key is no string":             {[]rebuild.Result{byRedis, byRedis, byRedis, noString}, NoLoads},
		"Redis, though a key could not be loaded":      {[]rebuild.Result{byRedis, byRedis, byLoader, byRedis, byRedis}, NoLoads},
		"the loader still, though Redis fails too":     {[]rebuild.Result{byLoader, byLoader, byLoader, byRedis}, Failing},
		"nobody, if it works again":                    {[]rebuild.Result{byLoader, byLoader, byLoader, byRedis, loaded}, Succeeding},
		"nobody, if the loader does not find some key": {[]rebuild.Result{byLoader, byLoader, {Outcome: rebuild.NotFound}, byLoader}, Succeeding},
	} {
		t.Run(what, func(t *testing.T) {
			w, now := idle(t, usual()), time.Now()
			for i, r := range c.ends {
				r.Job = w.busy(fmt.Sprint("product:", i), now)
				w.finish(r, now)
			}
			if got := w.loadersState(now); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestAGuardThatIsHeldIsNoFailureAndNoSuccess(t *testing.T) {
	for _, failures := range []int{0, 3} {
		t.Run(fmt.Sprint(failures, " failures before"), func(t *testing.T) {
			w, now := idle(t, usual()), time.Now()
			for range failures {
				j := w.busy("product:1", now)
				w.inFlight--
				w.tracker.Finish(rebuild.Result{Job: j, Outcome: rebuild.Failed, TTL: time.Second}, now)
			}
			j := w.busy("product:1", now)
			w.finish(rebuild.Result{Job: j, Outcome: rebuild.Held, TTL: time.Second}, now)
			if w.tracker.Failures("product:1") != failures || w.breaker != (pacing.Breaker{}) || w.account.lastFailure != nil {
				t.Errorf("%d failures, breaker %+v, last failure %v", w.tracker.Failures("product:1"), w.breaker, w.account.lastFailure)
			}
			// The worker learns what came of it before the key would count as late.
			at, _ := w.tracker.Until(w.tracker.Find("product:1"))
			if wait := at.Sub(now); wait <= 0 || wait >= w.current.Rebuild.Timing.Grace {
				t.Errorf("looks again after %s, with a grace of %s", wait, w.current.Rebuild.Timing.Grace)
			}
		})
	}
}
