// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
)

func TestWhatRedisSaysDecidesWhetherToLoad(t *testing.T) {
	const load = outcome("")
	lease := &guard.Lease{}
	for what, c := range map[string]struct {
		kept bool
		job  job
		a    guard.Acquisition
		want outcome
	}{
		"somebody else holds the guard":           {false, job{}, guard.Acquisition{TTL: time.Second, Type: "string"}, held},
		"even of a key that is asked for":         {true, job{token: "now"}, guard.Acquisition{TTL: guard.Missing, Type: "none"}, held},
		"the key is due":                          {false, job{}, guard.Acquisition{Lease: lease, TTL: 30 * time.Second, Type: "string"}, load},
		"it is not due any more":                  {false, job{}, guard.Acquisition{Lease: lease, TTL: 100 * time.Second, Type: "string"}, notDue},
		"it is not due, but asked for":            {false, job{token: "now"}, guard.Acquisition{Lease: lease, TTL: 100 * time.Second, Type: "string"}, load},
		"it is due, but was just loaded":          {false, job{rests: true}, guard.Acquisition{Lease: lease, TTL: 30 * time.Second, Type: "string"}, notDue},
		"it was just loaded, but is asked for":    {false, job{rests: true, token: "now"}, guard.Acquisition{Lease: lease, TTL: 30 * time.Second, Type: "string"}, load},
		"an application's key is gone":            {false, job{}, guard.Acquisition{Lease: lease, TTL: guard.Missing, Type: "none"}, gone},
		"it is gone, though asked for":            {false, job{token: "now"}, guard.Acquisition{Lease: lease, TTL: guard.Missing, Type: "none"}, gone},
		"a kept key is gone":                      {true, job{}, guard.Acquisition{Lease: lease, TTL: guard.Missing, Type: "none"}, load},
		"a kept key is gone that was just loaded": {true, job{rests: true}, guard.Acquisition{Lease: lease, TTL: guard.Missing, Type: "none"}, load},
		"it is no string":                         {false, job{}, guard.Acquisition{Lease: lease, TTL: time.Second, Type: "hash"}, ignoring},
		"it is no string, though asked for":       {true, job{token: "now"}, guard.Acquisition{Lease: lease, TTL: time.Second, Type: "hash"}, ignoring},
		"it has no expiry":                        {false, job{}, guard.Acquisition{Lease: lease, TTL: guard.NoExpiry, Type: "string"}, ignoring},
		"it has no expiry, though asked for":      {true, job{token: "now"}, guard.Acquisition{Lease: lease, TTL: guard.NoExpiry, Type: "string"}, ignoring},
		"it expires now":                          {false, job{}, guard.Acquisition{Lease: lease, TTL: 0, Type: "string"}, load},
		"it expired between two answers":          {false, job{}, guard.Acquisition{Lease: lease, TTL: time.Millisecond, Type: "none"}, gone},
		"a kept one expired between them":         {true, job{}, guard.Acquisition{Lease: lease, TTL: time.Millisecond, Type: "none"}, load},
	} {
		t.Run(what, func(t *testing.T) {
			set := &settings{timing: quarter}
			if c.kept {
				set.Keys = []string{"product:1"}
			}
			c.job.key = "product:1"
			r := &rebuilder{set: set}
			if got := r.decide(c.job, c.a); got.outcome != c.want {
				t.Errorf("%q, want %q", got.outcome, c.want)
			}
		})
	}
}

// That Redis refuses does not make the loader's state, nor does a key that is
// no string; and a loader that is down stays so while Redis refuses too.
func TestWhoIsBlamed(t *testing.T) {
	byLoader := result{outcome: failed, failure: failure("Timeout", "")}
	byRedis := result{outcome: failed, failure: failure(RedisError, ""), redis: true}
	noString := result{outcome: ignoring, failure: failure(WrongType, "")}
	loaded := result{outcome: committed, ttl: time.Second}
	for what, c := range map[string]struct {
		ends []result
		want LoadersState
	}{
		"the loader, if it fails":                      {[]result{byLoader, byLoader, byLoader}, Failing},
		"Redis, if that fails":                         {[]result{loaded, byRedis, byRedis, byRedis}, Succeeding},
		"Redis, though a key is no string":             {[]result{byRedis, byRedis, byRedis, noString}, NoLoads},
		"Redis, though a key could not be loaded":      {[]result{byRedis, byRedis, byLoader, byRedis, byRedis}, NoLoads},
		"the loader still, though Redis fails too":     {[]result{byLoader, byLoader, byLoader, byRedis}, Failing},
		"nobody, if it works again":                    {[]result{byLoader, byLoader, byLoader, byRedis, loaded}, Succeeding},
		"nobody, if the loader does not find some key": {[]result{byLoader, byLoader, {outcome: notFound}, byLoader}, Succeeding},
	} {
		t.Run(what, func(t *testing.T) {
			set, err := compile(Keyspace{Name: "products", Key: "product:{id}", Expire: time.Minute, DueAfter: time.Second, GuardTimeout: time.Second, Loader: &httploader.Config{URL: "http://localhost/{id}"}}, loader.Environment{})
			if err != nil {
				t.Fatal(err)
			}
			l := newLane(New(Options{}), catalog, set, &server{})
			for i, r := range c.ends {
				r.key = names("product:", i+1)[i]
				l.keys.Mark(l.track(r.key), busy)
				l.finish(r, time.Now())
			}
			if got := l.loadersState(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
