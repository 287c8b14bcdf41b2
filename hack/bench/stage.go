// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

// stage is what a benchmark runs on: an empty Redis and a loader, each a
// process of its own.
type stage struct {
	addr   string
	redis  *redis.Client
	loader string // its URL

	dir     string
	server  *redistest.Server
	process *exec.Cmd
}

func newStage(ctx context.Context) (*stage, error) {
	dir, err := os.MkdirTemp("", "keepfresh-bench-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir}
	if s.server, err = redistest.Run("", dir); err != nil {
		s.close()
		return nil, err
	}
	s.addr = s.server.Addr
	s.redis = redis.NewClient(&redis.Options{Addr: s.addr, PoolSize: 64})
	if err := s.startLoader(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) startLoader(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.process = exec.CommandContext(ctx, self, loaderCommand)
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	s.process.Stderr = os.Stderr
	out, err := s.process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.process.Start(); err != nil {
		return fmt.Errorf("start the loader: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the loader did not say where it listens: %w", err)
	}
	s.loader = strings.TrimSpace(line)
	return nil
}

func (s *stage) close() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
	if s.redis != nil {
		_ = s.redis.Close()
	}
	if s.server != nil {
		s.server.Stop()
	}
	_ = os.RemoveAll(s.dir)
}

// keyOf is a key of 24 bytes.
func keyOf(i int) string { return fmt.Sprintf("product:%016d", i) }

// seed writes the first n keys with values of 256 bytes.
func (s *stage) seed(ctx context.Context, n int) error {
	value := strings.Repeat("v", valueSize)
	const step = 1000
	for from := 0; from < n; from += step {
		_, err := s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := from; i < min(n, from+step); i++ {
				p.Set(ctx, keyOf(i), value, lifetime)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	return nil
}

// redisCPU is the processor time that Redis has used.
func (s *stage) redisCPU(ctx context.Context) (time.Duration, error) {
	info, err := s.redis.InfoMap(ctx, "cpu").Result()
	if err != nil {
		return 0, err
	}
	user, err1 := strconv.ParseFloat(info["CPU"]["used_cpu_user"], 64)
	system, err2 := strconv.ParseFloat(info["CPU"]["used_cpu_sys"], 64)
	return time.Duration((user + system) * float64(time.Second)), errors.Join(err1, err2)
}

// cpu is the processor time that this process, which runs the engine, has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot be, with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// applications use the Redis at an address.
var applications = map[string]func(addr string) error{readerCommand: readKeys, writerCommand: writeKeys}

// application runs one of the applications in a process of its own, and returns
// what it prints.
func (s *stage) application(ctx context.Context, command string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, self, command, s.addr)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	return strings.TrimSpace(string(out)), nil
}
