// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bufio"
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
)

// serverProcess has the test binary be a loader's server instead, so that its
// work is not counted as the client's.
const serverProcess = "KEEPFRESH_LOADER_SERVER"

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

// BenchmarkSpeed compares 64 loads at once with the least that net/http takes for
// the same GETs: in time, and in the CPU of this process.
func BenchmarkSpeed(b *testing.B) {
	base := startServer(b)
	headers := []Header{{"Authorization", "Bearer x"}}
	cfg := HTTP{Headers: headers, MaxConns: 64}
	for _, c := range []struct {
		name string
		load func(b *testing.B) func(ctx context.Context) error
	}{
		{"floor", func(b *testing.B) func(context.Context) error {
			transport := newTransport(HTTP{MaxConns: 64, Timeout: patience}.withDefaults(), options{})
			b.Cleanup(transport.CloseIdleConnections)
			client := &http.Client{Transport: transport}
			return func(ctx context.Context) error {
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, base+"/0123456789", nil)
				response, err := client.Do(r)
				if err != nil {
					return err
				}
				_, err = io.ReadAll(response.Body)
				_ = response.Body.Close()
				return err
			}
		}},
		{"net-http", func(b *testing.B) func(context.Context) error {
			l := newLoader(b, base, cfg, viaNetHTTP)
			return func(ctx context.Context) error { _, err := l.Load(ctx, "p:0123456789"); return err }
		}},
		{"direct", func(b *testing.B) func(context.Context) error {
			l := newLoader(b, base, cfg)
			return func(ctx context.Context) error { _, err := l.Load(ctx, "p:0123456789"); return err }
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			load := c.load(b)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			var loads sync.WaitGroup
			next := make(chan struct{}, 1024)
			for range 64 {
				loads.Go(func() {
					for range next {
						if err := load(ctx); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ReportAllocs()
			before := cpu()
			b.ResetTimer()
			for range b.N {
				next <- struct{}{}
			}
			close(next)
			loads.Wait()
			b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/1000, "cpu-us/op")
		})
	}
}

// cpu is what this process used of it.
func cpu() time.Duration {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
