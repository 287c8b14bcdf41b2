// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"strconv"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
)

func TestHintsAreBounded(t *testing.T) {
	now, tr := at, of(usual, 0, at)
	h := &tr.hints
	for i := range maxHints + 10 {
		tr.Told([]discover.Found{{Key: strconv.Itoa(i), TTL: discover.NoExpiry}}, now)
	}
	if len(h.keys) != maxHints {
		t.Fatalf("%d keys are noted, want %d", len(h.keys), maxHints)
	}
	looks, end := 0, now
	for keys, wait := tr.LookAgain(end); len(h.keys) > 0; keys, wait = tr.LookAgain(end) {
		looks += len(keys)
		for _, key := range keys { // it still has no expiry
			tr.LookedAgain([]discover.Found{{Key: key, TTL: discover.NoExpiry}})
		}
		end = end.Add(wait)
	}
	if _, wait := tr.LookAgain(end); len(h.keys) != 0 || wait < time.Hour {
		t.Errorf("%d keys are left, to be looked at in %s", len(h.keys), wait)
	}
	if took := end.Sub(now); looks < (hintLooks-1)*maxHints || took < 5*time.Second || took > 20*time.Second {
		t.Errorf("%d looks in %s", looks, took)
	}

	tr.Told([]discover.Found{{Key: "a", TTL: discover.NoExpiry}, {Key: "b", TTL: discover.NoExpiry}, {Key: "c", TTL: discover.NoExpiry}}, now)
	tr.Told([]discover.Found{{Key: "a", TTL: time.Second}, {Key: "b", TTL: discover.Missing}}, now)
	if keys, _ := tr.LookAgain(now.Add(firstLook)); len(keys) != 1 || keys[0] != "c" {
		t.Errorf("%q are looked at, want c alone", keys)
	}
}
