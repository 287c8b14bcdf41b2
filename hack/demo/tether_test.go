// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// startTethered runs sleep in w, and returns what tells of its end.
func startTethered(t *testing.T, w *workdir) (pid int, ended <-chan error) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	script, err := w.wrap(sleep)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), script, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return cmd.Process.Pid, done
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 500 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited 5s in vain until %s", what)
}

func TestARemovedWorkdirEndsWhatIsTetheredToIt(t *testing.T) {
	w, err := newWorkdir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pid, ended := startTethered(t, w)
	await(t, "the process holds its lock", func() bool { return slices.Equal(w.tethered(), []int{pid}) })
	w.remove()
	if err := <-ended; err == nil {
		t.Error("the process was not killed")
	}
	if _, err := os.Stat(w.path); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestNothingStartsInAClosedWorkdir(t *testing.T) {
	w, err := newWorkdir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer w.remove()
	w.killTethered()
	_, ended := startTethered(t, w)
	if err := <-ended; err == nil {
		t.Error("the program ran")
	}
}

func TestTheNextDemoCleansUpAfterAKilledOne(t *testing.T) {
	parent := t.TempDir()
	killed, err := newWorkdir(parent)
	if err != nil {
		t.Fatal(err)
	}
	pid, ended := startTethered(t, killed)
	await(t, "the process holds its lock", func() bool { return slices.Equal(killed.tethered(), []int{pid}) })
	_ = killed.lock.Close() // as the kernel does when the demo is killed
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(killed.path, old, old); err != nil {
		t.Fatal(err)
	}

	next, err := newWorkdir(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer next.remove()
	if err := <-ended; err == nil {
		t.Error("the process was not killed")
	}
	if _, err := os.Stat(killed.path); !os.IsNotExist(err) {
		t.Errorf("the killed demo's folder is still there: %v", err)
	}
}

func TestARunningDemoIsLeftAlone(t *testing.T) {
	parent := t.TempDir()
	running, err := newWorkdir(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer running.remove()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(running.path, old, old); err != nil {
		t.Fatal(err)
	}
	next, err := newWorkdir(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer next.remove()
	if _, err := os.Stat(filepath.Join(running.path, lockFile)); err != nil {
		t.Errorf("the running demo's folder was touched: %v", err)
	}
}
