// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package direct

// Supported is false where there is no way to look at a socket before it is used.
const Supported = false

func silent(uintptr) bool { return false }

func send(uintptr, []byte) int { return 0 }
