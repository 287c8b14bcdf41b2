// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspaceworker/tracker"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
	"github.com/keepfresh/keepfresh/internal/refresher/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStore is a Store that is up, and holds nothing.
type fakeStore struct {
	store.Node
	down     atomic.Bool
	users    sync.WaitGroup
	inspects func(keys []string) []discover.Found // none is found if nil
}

func (s *fakeStore) NodeOf(string) store.Node { return s }
func (s *fakeStore) Up() bool                 { return !s.down.Load() }
func (s *fakeStore) Status() redisconn.Status {
	return redisconn.Status{Reason: redisconn.Connected}
}
func (s *fakeStore) Memory() store.Memory { return store.Memory{Evicted: -1} }
func (s *fakeStore) Inspect(_ context.Context, keys []string, yield func([]discover.Found) error) error {
	if s.inspects == nil {
		return nil
	}
	return yield(s.inspects(keys))
}
func (s *fakeStore) CountReads(context.Context, []discover.Found, time.Duration) (read, unread int) {
	return 0, 0
}
func (s *fakeStore) Failed(error) {}
func (s *fakeStore) Relist()      {}
func (s *fakeStore) Use(n int)    { s.users.Add(n) }
func (s *fakeStore) Done(n int)   { s.users.Add(-n) }

// noSource is a Source that nobody calls.
type noSource struct{ loader.Source }

func (noSource) BatchSize() int { return 1 }
func (noSource) Close()         {}

// usual are the settings of product:{id}, which live for 2 s and are stale after 1.24 s.
func usual(change ...func(*Settings)) *Settings {
	set := &Settings{
		Name: "products", Template: parsed("product:{id}"),
		Rebuild: rebuild.Settings{
			Timing: pacing.NewTiming(2*time.Second, 1240*time.Millisecond, time.Second), GuardTimeout: time.Second,
			Limits: pacing.Limits{MaxConcurrent: 6, BatchSize: 1}, DeleteNotFound: true, MaxNotFound: 30, Source: noSource{},
		},
	}
	for _, c := range change {
		c(set)
	}
	return set
}

func options() Options {
	return Options{
		Policy: "shop/catalog", Standby: func() bool { return false }, Lease: 2 * time.Second, Quota: tracker.NewQuota(0),
		Series: telemetry.New(nil).Keyspace(telemetry.Keyspace{Namespace: "shop", Policy: "catalog", Name: "products"}), OnChange: func() {},
	}
}

// idle is a worker that does not run.
func idle(t *testing.T, set *Settings) *Worker {
	w := New(options(), &Assignment{Settings: set, Store: &fakeStore{}})
	t.Cleanup(w.rebuilder.Close)
	return w
}

// busy tracks a key that is being rebuilt.
func (w *Worker) busy(key string, now time.Time) rebuild.Job {
	w.tracker.Found([]discover.Found{{Key: key, TTL: 100 * time.Millisecond, At: now}}, 0)
	id := w.tracker.Find(key)
	w.tracker.MakeDue(id)
	jobs, _ := w.tracker.TakeDue(1, 1, now)
	w.inFlight++
	return jobs[0]
}

// parsed is a template that is right.
func parsed(template string) *keyspace.Template {
	t, err := keyspace.Parse(template)
	if err != nil {
		panic(err)
	}
	return t
}
