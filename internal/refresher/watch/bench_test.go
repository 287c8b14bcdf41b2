// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// What watching costs Redis: its CPU time per write of an application, watched as
// the engine does it / with no notifications. Both sides take turns, and the
// median of their ratios counts.
//
//	go test ./internal/refresher/watch -run '^$' -bench WatchCost -benchtime 1x
func BenchmarkWatchCost(b *testing.B) {
	const rounds, writes = 7, 60_000
	for _, c := range []struct {
		name     string
		flags    string
		fresh    int // of 100 writes, those of new keys
		depth    int // of the application's pipelines
		patterns int
	}{
		{"overwrites", "Kn", 0, 1, 1},
		{"tenth_new", "Kn", 10, 1, 1},
		{"all_new", "Kn", 100, 1, 1},
		{"all_new_pipelined_16", "Kn", 100, 16, 1},
		{"all_new_8_patterns", "Kn", 100, 1, 8},
		{"all_new_by_keyevent", "En", 100, 1, 1},
		{"tenth_new_all_flags", "KEAn", 10, 1, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			silent := redistest.Start(b)
			loud := redistest.Start(b, "--notify-keyspace-events", c.flags)
			var interests []Interest
			for i := range c.patterns {
				interests = append(interests, Interest{Prefix: strings.Repeat("product:", i%2) + strconv.Itoa(i)})
			}
			interests[0].Prefix = "product:"
			client, err := redisconn.New(redisconn.Config{Address: loud.Addr}, nil)
			must(b, err)
			rdb := client.Client
			defer func() { _ = rdb.Close() }()
			e := &ears{rdb: rdb, heard: map[string]Kind{}}
			e.Watcher = Start(rdb, Handler{Events: func([]Event) {}, Gap: e.gap, Changed: e.changed}, discard)
			defer e.Close()
			e.Watch(interests)
			e.Ready(b.Context())
			e.want(b, Watching)
			for b.Loop() {
				var ratios, base []float64
				for round := range rounds {
					a := cpuPerWrite(b, silent, round, writes, c.fresh, c.depth)
					w := cpuPerWrite(b, loud, round, writes, c.fresh, c.depth)
					ratios, base = append(ratios, w/a), append(base, a)
				}
				slices.Sort(ratios)
				slices.Sort(base)
				b.ReportMetric(ratios[rounds/2], "ratio")
				b.ReportMetric(base[rounds/2]*1e6, "us/write-unwatched")
			}
		})
	}
}

// cpuPerWrite is what Redis spends on one of n writes, in seconds.
func cpuPerWrite(b *testing.B, s *redistest.Server, round, n, fresh, depth int) float64 {
	const clients = 8
	app := redis.NewClient(&redis.Options{Addr: s.Addr, PoolSize: clients})
	defer func() { _ = app.Close() }()
	must(b, app.FlushAll(b.Context()).Err())
	for begin := 0; begin < 1000; begin++ {
		must(b, app.Set(b.Context(), fmt.Sprintf("product:old:%d", begin), "v", time.Hour).Err())
	}
	value := strings.Repeat("v", 256)
	before := cpu(b, app)
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := 0; i < n/clients; i += depth {
				_, err := app.Pipelined(b.Context(), func(p redis.Pipeliner) error {
					for j := i; j < i+depth; j++ {
						key := fmt.Sprintf("product:old:%d", (j*clients+c)%1000)
						if j%100 < fresh {
							key = fmt.Sprintf("product:%d:%d:%d", round, c, j)
						}
						p.Set(b.Context(), key, value, time.Hour)
					}
					return nil
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	time.Sleep(20 * time.Millisecond)
	return (cpu(b, app) - before) / float64(n)
}

// cpu is the time that Redis' process has spent, in seconds.
func cpu(b *testing.B, app *redis.Client) float64 {
	b.Helper()
	info, err := app.Info(b.Context(), "cpu").Result()
	must(b, err)
	total := 0.0
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			seconds, err := strconv.ParseFloat(value, 64)
			must(b, err)
			total += seconds
		}
	}
	return total
}
