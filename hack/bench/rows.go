// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

// benchmarks, in the order in which they run.
var benchmarks = []benchmark{
	refreshVsFloor,
	batchVsFloor,
	scheduleBytes,
	cycles("schedule_ns_per_cycle_1m", million, 200),
	cycles("schedule_ns_per_cycle_10m", 10*million, 450),
	idle,
	listing,
	watching,
	policies,
}
