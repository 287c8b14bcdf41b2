// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A tether keeps a program from outliving the demo. envtest and redistest start
// programs by path and keep their processes to themselves, so each of them is
// given a script instead, which runs this program, which ties the process to
// its parent and then becomes the program:
//
//	demo ──► sh script ──exec──► demo tether ──exec──► etcd      (one process)
//
// On Linux, the kernel kills the process as soon as the demo is gone. Elsewhere,
// the next demo does: each process holds the lock on a file, named by its pid,
// for as long as it lives, whatever it execs.
const tetherCommand = "tether"

const (
	scriptsFolder = "scripts"
	pidsFolder    = "pids"
	closedMarker  = "closed" // once it exists, no tether lets a program start
)

// wrap returns the path of a script that runs program tethered to this process.
func (w *workdir) wrap(program string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	args := []string{self, tetherCommand, strconv.Itoa(os.Getpid()), w.path, program}
	for i, arg := range args {
		args[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	script := filepath.Join(w.path, scriptsFolder, filepath.Base(program))
	text := "#!/bin/sh\nexec " + strings.Join(args, " ") + ` "$@"` + "\n"
	return script, os.WriteFile(script, []byte(text), 0o700)
}

// tether becomes a program, as in [parent pid, workdir, program, its arguments...].
func tether(args []string) error {
	if len(args) < 3 {
		return errors.New("tether is for the demo's own use")
	}
	parent, dir, program := args[0], args[1], args[2]
	if err := dieWithParent(); err != nil {
		return err
	}
	if strconv.Itoa(os.Getppid()) != parent {
		return errors.New("the demo has ended")
	}
	// Not through os, which would have exec close the file and so free the lock.
	pidFile := filepath.Join(dir, pidsFolder, strconv.Itoa(os.Getpid()))
	fd, err := syscall.Open(pidFile, syscall.O_CREAT|syscall.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", pidFile, err)
	}
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("lock %s: %w", pidFile, err)
	}
	if _, err := os.Stat(filepath.Join(dir, closedMarker)); err == nil {
		return errors.New("the demo is ending")
	}
	return fmt.Errorf("run %s: %w", program, syscall.Exec(program, args[2:], os.Environ()))
}

// killTethered kills what was started through wrap and still runs, and keeps
// more from starting.
func (w *workdir) killTethered() {
	_ = os.WriteFile(filepath.Join(w.path, closedMarker), nil, 0o600)
	for range 100 { // a killed process may need a moment to end
		living := w.tethered()
		if len(living) == 0 {
			return
		}
		for _, pid := range living {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// tethered returns the pids of the living. A pid that now belongs to another
// program is not among them, because that program does not hold the lock.
func (w *workdir) tethered() []int {
	var living []int
	files, _ := os.ReadDir(filepath.Join(w.path, pidsFolder))
	for _, file := range files {
		pid, err := strconv.Atoi(file.Name())
		if err == nil && locked(filepath.Join(w.path, pidsFolder, file.Name())) {
			living = append(living, pid)
		}
	}
	return living
}

func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
