// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package redistest runs real Redis servers for tests and for the demo: each on
// a loopback port and in a directory of its own, and stopped by its pid.
package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server process.
type Server struct {
	Addr   string
	args   []string
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// Run starts a server on addr (a free loopback port if empty), which keeps its
// files in dir, and waits until it answers. args are redis.conf directives in
// command-line form.
func Run(addr, dir string, args ...string) (*Server, error) {
	s := &Server{Addr: addr, dir: dir, args: args}
	if addr != "" {
		return s, s.Start()
	}
	// A port that was free a moment ago may have been taken since.
	for tries := 1; ; tries++ {
		free, err := FreeAddr()
		if err != nil {
			return nil, err
		}
		s.Addr = free
		if err := s.Start(); err == nil || tries == 5 {
			return s, err
		}
	}
}

// Start starts a server that was stopped, on the same port.
func (s *Server) Start() error {
	program, err := find()
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	log := filepath.Join(s.dir, "redis.log")
	_ = os.Remove(log)
	args := append([]string{"--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no",
		"--daemonize", "no", "--logfile", log}, s.args...)
	s.cmd = exec.CommandContext(context.Background(), program, args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the caller to pass on
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
	return s.awaitReady(log)
}

// awaitReady goes by the server's own log: that something listens on the port
// does not say that it is this server.
func (s *Server) awaitReady(log string) error {
	for range 1000 {
		said, _ := os.ReadFile(log)
		if bytes.Contains(said, []byte("Ready to accept connections")) {
			return nil
		}
		select {
		case <-s.exited:
			said, _ = os.ReadFile(log)
			return fmt.Errorf("redis-server on %s ended at once:\n%s", s.Addr, said)
		case <-time.After(10 * time.Millisecond):
		}
	}
	s.Stop()
	return fmt.Errorf("redis-server on %s was not ready within 10 seconds", s.Addr)
}

// Stop kills the server, as a crash would, and waits for its end.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// Freeze makes the server hang without closing a connection; Thaw ends that.
func (s *Server) Freeze() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Start starts a server for a test and stops it at the test's end.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Run("", dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		_ = os.RemoveAll(dir)
	})
	return s
}

// Client returns a client for the server, closed at the test's end.
func (s *Server) Client(t testing.TB) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: 3})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func find() (string, error) {
	if program := os.Getenv("REDIS_SERVER"); program != "" {
		return program, nil
	}
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errors.New("there is no redis-server: install it (apt-get install redis-server), or name it in REDIS_SERVER, or use make test")
	}
	return program, nil
}

// FreeAddr is a loopback address that nothing listens on.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}
