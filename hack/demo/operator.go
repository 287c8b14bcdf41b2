// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	operatorReadyWithin = 30 * time.Second
	operatorStopsWithin = 10 * time.Second
)

const widestLine = 240 // of a log that the demo quotes

// operator is the operator's process.
type operator struct {
	cmd     *exec.Cmd
	logPath string
	metrics string        // URL
	exited  chan struct{} // closed when it has ended
	err     error         // how; to be read once exited is closed
}

// startOperator starts the operator and waits until it says that it is ready.
// What it returns, if anything, is to be stopped even if there is an error.
func startOperator(ctx context.Context, program, kubeconfig, logPath string) (*operator, error) {
	health, err := freeAddr()
	if err != nil {
		return nil, err
	}
	metrics, err := freeAddr()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	o := &operator{logPath: logPath, metrics: "http://" + metrics + "/metrics", exited: make(chan struct{})}
	// Not with ctx, which would kill it: it has work to finish.
	o.cmd = exec.CommandContext(context.WithoutCancel(ctx), program,
		"--kubeconfig="+kubeconfig, "--health-probe-bind-address="+health, "--metrics-bind-address="+metrics, "--metrics-secure=false",
		"--allow-egress-cidr=127.0.0.1") // where all of the demo is
	o.cmd.Stdout, o.cmd.Stderr = log, log
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is for the demo to pass on
	if err := o.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the operator: %w", err)
	}
	go func() {
		o.err = o.cmd.Wait()
		close(o.exited)
	}()
	return o, o.awaitReady(ctx, "http://"+health+"/readyz")
}

func (o *operator) awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, operatorReadyWithin, errors.New("it is not ready"))
	defer cancel()
	for {
		if answersOK(ctx, url) {
			return nil
		}
		select {
		case <-o.exited:
			return o.death()
		case <-ctx.Done():
			return fmt.Errorf("the operator answers no %s after %s (%w). The end of its log:\n%s",
				url, operatorReadyWithin, context.Cause(ctx), tail(o.logPath, 15))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func answersOK(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// death says how the operator ended.
func (o *operator) death() error {
	how := "exit status 0"
	if o.err != nil {
		how = o.err.Error()
	}
	return fmt.Errorf("the operator ended by itself (%s). The end of its log, %s:\n%s", how, o.logPath, tail(o.logPath, 15))
}

// stop asks the operator to end, and kills it if it does not.
func (o *operator) stop() error {
	_ = o.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-o.exited:
		return nil
	case <-time.After(operatorStopsWithin):
		_ = o.cmd.Process.Kill()
		<-o.exited
		return fmt.Errorf("the operator did not end within %s of SIGTERM and was killed", operatorStopsWithin)
	}
}

func freeAddr() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// executable says what to do about a program that is not there.
func executable(path, remedy string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%s is missing: %s", path, remedy)
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not a program that can be run: %s", path, remedy)
	}
	return nil
}

// tail returns the last lines of a file, indented and cut to a readable width.
func tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return "    (empty)"
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		if len(line) > widestLine {
			all[i] = strings.ToValidUTF8(line[:widestLine], "") + "..."
		}
	}
	return "    " + strings.Join(all, "\n    ")
}

// findRedis returns the path of redis-server: the given one, or that on the PATH.
func findRedis(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errors.New("redis-server is missing: install it (apt-get install redis-server), or name it in REDIS_SERVER; make demo does so")
	}
	return path, nil
}
