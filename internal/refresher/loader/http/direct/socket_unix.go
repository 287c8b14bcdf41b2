// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package direct

import (
	"errors"
	"syscall"
)

// Supported says that this system lets a Client look whether a connection is silent.
const Supported = true

// silent says whether nothing has come on a socket, neither a byte nor its end.
func silent(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
}

// send sends as much as a socket takes at once, and says how much that was.
func send(fd uintptr, b []byte) int {
	n, err := syscall.Write(int(fd), b)
	if err != nil {
		return 0 // whoever tries again will meet the error
	}
	return n
}
