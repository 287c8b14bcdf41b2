// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

// dieWithParent does nothing: only Linux can do it.
func dieWithParent() error { return nil }
