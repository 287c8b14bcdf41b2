// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

var configured = []Interest{{Prefix: "product:", Configure: true}}

func TestComesBack(t *testing.T) {
	t.Parallel()
	for sentence, harm := range map[string]func(*testing.T, *redistest.Server){
		"after its connection was cut": func(t *testing.T, srv *redistest.Server) {
			killed, err := srv.Client(t).ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result()
			must(t, err)
			if killed == 0 {
				t.Error("there was no connection to cut")
			}
		},
		"after a restart": func(t *testing.T, srv *redistest.Server) {
			srv.Stop()
			must(t, srv.Start())
		},
		"after Redis was away": func(t *testing.T, srv *redistest.Server) {
			srv.Stop()
			time.Sleep(500 * time.Millisecond)
			must(t, srv.Start())
		},
		"after Redis hung": func(t *testing.T, srv *redistest.Server) {
			must(t, srv.Freeze())
			time.Sleep(timeout + time.Second)
			must(t, srv.Thaw())
		},
		"after another user was denied all": func(t *testing.T, srv *redistest.Server) {
			app := srv.Client(t)
			must(t, app.Do(t.Context(), "ACL", "SETUSER", "default", "resetchannels").Err()) // cuts off who listens
			time.Sleep(200 * time.Millisecond)
			must(t, app.Do(t.Context(), "ACL", "SETUSER", "default", "allchannels").Err())
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Start(t) // a restart forgets what was configured
			e := listen(t, at(srv), configured...)
			e.want(t, Watching)
			gaps := e.gapCount()
			harm(t, srv)
			eventually(t, "a gap", func() bool { return e.gapCount() > gaps })
			e.wantHeard(t, srv.Client(t))
			e.want(t, Watching)
		})
	}
}

func TestSaysThatRedisIsAway(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, "--notify-keyspace-events", "Kn")
	e := listen(t, at(srv), products...)
	srv.Stop()
	eventually(t, "the news", func() bool { return e.Status().Reason == Unavailable })
	must(t, srv.Start())
	eventually(t, "the news", func() bool { return e.Status().Reason == Watching })
}

func TestSaysThatRedisTakesNoWrites(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, "--notify-keyspace-events", "Kn", "--maxmemory", "1")
	e := listen(t, at(srv), products...)
	e.want(t, Unavailable)
	app := srv.Client(t)
	must(t, app.ConfigSet(t.Context(), "maxmemory", "0").Err())
	eventually(t, "the news", func() bool { return e.Status().Reason == Watching })
	gaps := e.gapCount()
	must(t, app.ConfigSet(t.Context(), "maxmemory", "1").Err())
	time.Sleep(4 * quick.check)
	e.want(t, Watching) // it goes on: nothing says that events do not come
	if e.gapCount() != gaps {
		t.Error("a refused write led to a gap")
	}
}

// Somebody changes what Redis sends behind our back.
func TestEventsThatCease(t *testing.T) {
	t.Parallel()
	t.Run("are told of", func(t *testing.T) {
		t.Parallel()
		srv := redistest.Start(t, "--notify-keyspace-events", "Kn")
		e, app := listen(t, at(srv), products...), srv.Client(t)
		must(t, app.ConfigSet(t.Context(), setting, "KEA").Err())
		eventually(t, "the news", func() bool { return e.Status().Reason == EventsNotSent })
		must(t, app.ConfigSet(t.Context(), setting, "KEAn").Err())
		eventually(t, "the news", func() bool { return e.Status().Reason == Watching })
		e.wantHeard(t, app)
	})
	t.Run("are configured again, with all flags of others", func(t *testing.T) {
		t.Parallel()
		srv := redistest.Start(t)
		e, app := listen(t, at(srv), configured...), srv.Client(t)
		must(t, app.ConfigSet(t.Context(), setting, "El").Err())
		eventually(t, "the flags", func() bool { return app.ConfigGet(t.Context(), setting).Val()[setting] == "lnE" })
		e.wantHeard(t, app)
	})
	t.Run("are told of if they are misses", func(t *testing.T) {
		t.Parallel()
		srv := redistest.Start(t, "--notify-keyspace-events", "Knm")
		e, app := listen(t, at(srv), Interest{Prefix: "product:", Misses: true}), srv.Client(t)
		must(t, app.ConfigSet(t.Context(), setting, "Kn").Err())
		eventually(t, "the news", func() bool { return e.Status().Reason == MissesNotSent })
		must(t, app.ConfigSet(t.Context(), setting, "Knm").Err())
		eventually(t, "the news", func() bool { return e.Status().Reason == Watching })
	})
}

func TestAFlushIsAGap(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, "--notify-keyspace-events", "Kn")
	e, app := listen(t, at(srv), products...), srv.Client(t)
	ctx := t.Context()
	for sentence, flush := range map[string]func() error{
		"FLUSHALL":    func() error { return app.FlushAll(ctx).Err() },
		"FLUSHDB":     func() error { return app.FlushDBAsync(ctx).Err() },
		"in a script": func() error { return app.Eval(ctx, "redis.call('FLUSHDB') return 1", nil).Err() },
		"SWAPDB":      func() error { return app.Do(ctx, "SWAPDB", 0, 1).Err() },
	} {
		time.Sleep(2 * quick.check) // for what it remembers of before
		gaps := e.gapCount()
		must(t, flush())
		eventually(t, "a gap after "+sentence, func() bool { return e.gapCount() > gaps })
	}
	gaps := e.gapCount()
	time.Sleep(5 * quick.check)
	if e.gapCount() != gaps {
		t.Error("there are gaps without a reason")
	}
}

const burst = 100_000

func writeMany(t *testing.T, app *redis.Client, prefix string) {
	t.Helper()
	for begin := 0; begin < burst; begin += 1000 {
		_, err := app.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for i := range 1000 {
				p.Set(t.Context(), prefix+strconv.Itoa(begin+i), "v", time.Minute)
			}
			return nil
		})
		must(t, err)
	}
}

func TestABurstIsHeardOf(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, "--notify-keyspace-events", "Kn")
	e, app := listen(t, at(srv), products...), srv.Client(t)
	gaps := e.gapCount()
	writeMany(t, app, "product:")
	eventually(t, "all keys, or a gap", func() bool { return e.count() == burst || e.gapCount() > gaps })
	t.Logf("heard of %d keys of %d, gaps %d", e.count(), burst, e.gapCount()-gaps)
	e.wantHeard(t, app)
}

// What a frozen consumer cannot take in neither fills memory, here or in Redis,
// nor stays unknown.
func TestAFrozenConsumer(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, "--notify-keyspace-events", "Kn", "--client-output-buffer-limit", "pubsub 1mb 0 0")
	e, app := listen(t, at(srv), products...), srv.Client(t)
	e.mu.Lock()
	e.block = make(chan struct{})
	e.mu.Unlock()
	must(t, app.Set(t.Context(), "product:first", "v", 0).Err())
	eventually(t, "the first", func() bool { return e.of("product:first") != 0 })
	gaps := e.gapCount()
	for n := range 3 {
		writeMany(t, app, fmt.Sprintf("product:%d:", n))
	}
	eventually(t, "an overflow", func() bool {
		e.queue.mu.Lock()
		defer e.queue.mu.Unlock()
		return e.queue.lost && len(e.queue.events) == 0
	})
	if clients := app.Do(t.Context(), "CLIENT", "LIST", "TYPE", "pubsub").String(); !strings.Contains(clients, " omem=0 ") {
		t.Errorf("Redis keeps back what was not read: %s", clients)
	}
	e.mu.Lock()
	close(e.block)
	e.block = nil
	e.mu.Unlock()
	eventually(t, "the gap", func() bool { return e.gapCount() == gaps+1 })
	e.wantHeard(t, app)
	e.want(t, Watching)
}
