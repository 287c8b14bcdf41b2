// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverProcess) != "" {
		runServer()
	}
	os.Exit(m.Run())
}

// serverProcess has the test binary be a loader's server instead, so that its
// work is not counted as the client's.
const serverProcess = "KEEPFRESH_BENCH_SERVER"

func runServer() {
	value := []byte(strings.Repeat("x", 256))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
		os.Exit(0)
	}()
	_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(value) }))
}

func startServer(b *testing.B) (base string) {
	server := exec.CommandContext(b.Context(), os.Args[0])
	server.Env = append(os.Environ(), serverProcess+"=1")
	stdin, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = server.Wait()
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(address)
}

// BenchmarkClients compares 64 loads at once by what could make them: in time, and in the
// CPU of this process. direct and net-http are what a policy's loader can use, with all
// that it checks; fasthttp and bare are the same GETs and nothing else.
func BenchmarkClients(b *testing.B) {
	base := startServer(b)
	source := func(b *testing.B, netHTTP bool) func(context.Context) error {
		cfg := httploader.Config{URL: base + "/{id}", Headers: []httploader.Header{{Name: "Authorization", Value: "Bearer x"}}}
		template, err := keyspace.Parse("p:{id}")
		if err != nil {
			b.Fatal(err)
		}
		s, err := cfg.Open(template, loader.Environment{MaxConcurrent: concurrency, NetHTTP: netHTTP})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.Close)
		return func(ctx context.Context) error { return s.Load(ctx, []string{"p:0123456789"})[0].Failure() }
	}
	for _, c := range []struct {
		name string
		load func(b *testing.B) func(ctx context.Context) error
	}{
		{"direct", func(b *testing.B) func(context.Context) error { return source(b, false) }},
		{"net-http", func(b *testing.B) func(context.Context) error { return source(b, true) }},
		{"bare-net-http", func(b *testing.B) func(context.Context) error {
			transport := &http.Transport{MaxConnsPerHost: concurrency, MaxIdleConnsPerHost: concurrency}
			b.Cleanup(transport.CloseIdleConnections)
			client := &http.Client{Transport: transport}
			return func(ctx context.Context) error {
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, base+"/0123456789", nil)
				r.Header.Set("Authorization", "Bearer x")
				response, err := client.Do(r)
				if err != nil {
					return err
				}
				_, err = io.ReadAll(response.Body)
				_ = response.Body.Close()
				return err
			}
		}},
		{"bare-fasthttp", func(b *testing.B) func(context.Context) error {
			client := &fasthttp.Client{MaxConnsPerHost: concurrency}
			b.Cleanup(client.CloseIdleConnections)
			return func(context.Context) error {
				r, answer := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
				defer fasthttp.ReleaseRequest(r)
				defer fasthttp.ReleaseResponse(answer)
				r.SetRequestURI(base + "/0123456789")
				r.Header.Set("Authorization", "Bearer x")
				if err := client.DoTimeout(r, answer, time.Minute); err != nil {
					return err
				}
				_ = bytes.Clone(answer.Body())
				return nil
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			load := c.load(b)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			var loads sync.WaitGroup
			next := make(chan struct{}, 1024)
			for range concurrency {
				loads.Go(func() {
					for range next {
						if err := load(ctx); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ReportAllocs()
			before := cpuTime()
			b.ResetTimer()
			for range b.N {
				next <- struct{}{}
			}
			close(next)
			loads.Wait()
			b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N)/1000, "cpu-us/op")
		})
	}
}

// cpuTime is the CPU time that this process has used.
func cpuTime() time.Duration {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
