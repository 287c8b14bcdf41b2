// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package human

import (
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]struct{ exact, about string }{
		0:                           {"0s", "0s"},
		1234567 * time.Nanosecond:   {"1.234567ms", "1ms"},
		12_420 * time.Millisecond:   {"12.42s", "12.4s"},
		time.Minute:                 {"1m", "1m"},
		90 * time.Second:            {"1m30s", "1m30s"},
		100*time.Minute + 1:         {"1h40m0.000000001s", "1h40m"},
		3 * time.Hour:               {"3h", "3h"},
		time.Hour + 500*time.Second: {"1h8m20s", "1h8m20s"},
		-10 * time.Minute:           {"-10m", "-10m"},
	} {
		if got := Duration(d); got != want.exact {
			t.Errorf("Duration(%d) is %s, want %s", d, got, want.exact)
		}
		if got := About(d); got != want.about {
			t.Errorf("About(%d) is %s, want %s", d, got, want.about)
		}
	}
}
