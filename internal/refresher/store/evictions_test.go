// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"
)

func TestEvictionsAreCountedOverAMinute(t *testing.T) {
	var e evictions
	for i, c := range []struct{ count, want int64 }{
		{1000, 0}, {1000, 0}, {1010, 10}, {1010, 10}, {1010, 10}, {1010, 10}, {1010, 10}, {1010, 10}, {1010, 0}, // the tenth look is a minute behind
		{3, 0}, {5, 2}, // after a restart
	} {
		if got := e.add(c.count); got != c.want {
			t.Errorf("look %d: %d, want %d", i, got, c.want)
		}
	}
}
