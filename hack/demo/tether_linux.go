// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"syscall"
)

// dieWithParent has the kernel kill this process when its parent ends. That
// outlasts an exec by the calling thread, so the goroutine stays on it.
func dieWithParent() error {
	runtime.LockOSThread()
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
	if errno != 0 {
		return fmt.Errorf("ask to be killed with the parent: %w", errno)
	}
	return nil
}
