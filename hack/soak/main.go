// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Command soak runs two engines on one real Redis for minutes, while the loader
// fails now and then, Redis restarts, and applications write, delete and read.
// It ends with a table of what must not have happened, and fails if it did.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher"
	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

const (
	expire       = time.Minute
	restartEvery = 100 * time.Second
	restartTakes = 3 * time.Second
	failEvery    = 45 * time.Second
	failTakes    = 8 * time.Second
)

var policy = refresher.ID{Namespace: "soak", Name: "products"}

func main() {
	lasts := flag.Duration("for", 10*time.Minute, "how long to go on")
	keys := flag.Int("keys", 200_000, "how many keys to keep")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	redis.SetLogger(silent{}) // it would tell of each restart
	if err := run(ctx, *lasts, *keys); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func run(ctx context.Context, lasts time.Duration, keys int) error {
	dir, err := os.MkdirTemp("", "keepfresh-soak-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := redistest.Run("", dir)
	if err != nil {
		return err
	}
	defer server.Stop()
	before := usage()

	backend, err := newBackend()
	if err != nil {
		return err
	}
	app := newApplication(server.Addr, backend, keys)
	if err := app.seed(ctx); err != nil {
		return err
	}
	fmt.Printf("soak: %d keys in %s, two engines, for %s\n", keys, server.Addr, lasts)
	var engines []*refresher.Engine
	for range 2 {
		e := refresher.New(refresher.Options{Log: slog.New(slog.DiscardHandler)})
		if err := e.Apply(policy, plan(server.Addr, backend.url)); err != nil {
			return err
		}
		engines = append(engines, e)
	}

	living, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	done := app.live(living)
	faults(living, server, app, backend)
	done()
	// The last words are read while nobody writes, and the engines work on.
	if ctx.Err() == nil {
		err = app.audit(ctx)
	}
	for _, e := range engines {
		closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		e.Close(closing)
		cancel()
	}
	app.close()
	backend.close()
	if err != nil {
		return err
	}
	return report(app, backend, before, settled(before))
}

func plan(addr, url string) refresher.Plan {
	return refresher.Plan{
		Redis: redisconn.Config{Address: addr},
		Keyspaces: []refresher.Keyspace{{
			Name: "products", Key: "product:{id}",
			Expire: expire, DueAfter: expire * 62 / 100, GuardTimeout: 6 * time.Second,
			Loader:        httploader.Config{URL: url + "/{id}", Timeout: 2 * time.Second},
			MaxConcurrent: 64,
		}},
	}
}

// faults are Redis' restarts, which lose nothing but take a while, and times in
// which the loader fails.
func faults(ctx context.Context, server *redistest.Server, app *application, b *backend) {
	restart, fail, tell := time.NewTicker(restartEvery), time.NewTicker(failEvery), time.NewTicker(10*time.Second)
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			b.failing.Store(false)
			return
		case <-restart.C:
			if ctx.Err() != nil {
				continue // the last restart is due at the very end
			}
			fmt.Printf("soak: %4.0f s: Redis restarts\n", time.Since(began).Seconds())
			if err := app.shutdown(context.WithoutCancel(ctx)); err != nil {
				fmt.Println("soak: Redis did not shut down:", err)
			}
			server.Stop()
			time.Sleep(restartTakes)
			if err := server.Start(); err != nil {
				fmt.Println("soak: Redis did not start:", err)
				return
			}
		case <-fail.C:
			b.failing.Store(true)
			time.AfterFunc(failTakes, func() { b.failing.Store(false) })
		case <-tell.C:
			u := usage()
			fmt.Printf("soak: %4.0f s: %s; %d goroutines, %d MB\n", time.Since(began).Seconds(), app, u.goroutines, u.heap>>20)
		}
	}
}

type used struct {
	goroutines int
	heap       uint64
}

func usage() used {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return used{runtime.NumGoroutine(), m.HeapAlloc}
}

// settled is what is in use once what has ended is gone, or has had its time.
func settled(before used) used {
	for range 50 {
		if now := usage(); now.goroutines <= before.goroutines {
			return now
		}
		time.Sleep(100 * time.Millisecond)
	}
	return usage()
}
