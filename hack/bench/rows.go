// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

// benchmarks, in the order in which they run.
var benchmarks = []benchmark{
	refreshVsFloor,
	idle,
	listing,
	policies,
}
