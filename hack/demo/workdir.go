// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	workdirPrefix = "keepfresh-demo-"
	lockFile      = "lock"
)

// workdir is the temporary folder of a running demo. The demo holds the lock on
// a file in it, which tells the folder from one that a killed demo left behind.
type workdir struct {
	path string
	lock *os.File
}

// newWorkdir makes a folder in parent, and removes those of demos that were
// killed, with whatever they left running.
func newWorkdir(parent string) (*workdir, error) {
	removeAbandoned(parent)
	path, err := os.MkdirTemp(parent, workdirPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	w := &workdir{path: path}
	for _, folder := range []string{scriptsFolder, pidsFolder} {
		if err := os.Mkdir(filepath.Join(path, folder), 0o700); err != nil {
			return nil, err
		}
	}
	w.lock, err = os.Create(filepath.Join(path, lockFile))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(w.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %s: %w", w.lock.Name(), err)
	}
	return w, nil
}

// remove ends what still runs tethered, and removes the folder.
func (w *workdir) remove() {
	w.killTethered()
	_ = os.RemoveAll(w.path)
	_ = w.lock.Close()
}

func removeAbandoned(parent string) {
	paths, _ := filepath.Glob(filepath.Join(parent, workdirPrefix+"*"))
	for _, path := range paths {
		info, err := os.Stat(path)
		// A young one may be on its way to its lock.
		if err != nil || time.Since(info.ModTime()) < time.Second || locked(filepath.Join(path, lockFile)) {
			continue
		}
		abandoned := &workdir{path: path}
		abandoned.killTethered()
		_ = os.RemoveAll(path)
	}
}
