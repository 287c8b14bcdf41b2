// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import "time"

const (
	// minBreaker is the least number of failures in a row that opens a breaker.
	minBreaker = 3
	// maxPause is the longest that an open breaker waits between two tries.
	maxPause = 5 * time.Second
	// minTold is the shortest pause that the loader asks for and that is told of.
	minTold = time.Second
)

// breaker tells a loader that is down from single keys that fail. Keys that go
// on failing while others succeed do not count again.
type breaker struct {
	streak int       // calls in a row that failed, over all keys
	newly  int       // those of them with a key that had not failed before
	loads  int       // those of them that are the loader's, and not Redis'
	until  time.Time // no load before
	asked  time.Time // so the loader said, where that is longer than keys may be late
}

func (b *breaker) succeeded() { b.streak, b.newly, b.loads = 0, 0, 0 }

// failedCall is a call that failed: for its breaker, once, however many keys
// failed with it.
type failedCall struct{ counted, newly bool }

// failed counts a key that failed with a call; call is nil if that was for the
// key alone.
func (b *breaker) failed(call *failedCall, first, load bool) {
	if call == nil {
		call = new(failedCall)
	}
	if first && !call.newly {
		call.newly = true
		b.newly++
	}
	if call.counted {
		return
	}
	call.counted = true
	b.streak++
	if load {
		b.loads++
	}
}

// down says that keys fail as a whole, be it by the loader or by Redis.
func (b *breaker) down(l *lane) bool {
	return b.streak >= minBreaker && (b.newly >= minBreaker || l.failing == l.keys.Len())
}

// over is 0 while the breaker is closed. While it is open, only one key at a
// time is tried, and over grows with each failure.
func (b *breaker) over(l *lane) int {
	if !b.down(l) {
		return 0
	}
	return max(0, b.streak-max(minBreaker, l.set.MaxConcurrent)+1)
}

// asks pauses for as long as the loader asked to be left alone. It is told of where keys
// turn late for it: a limit on rates that passes in a moment is no news.
func (b *breaker) asks(now time.Time, after, grace time.Duration) {
	b.pause(now, after)
	if until := now.Add(after); after > max(grace, minTold) && until.After(b.asked) {
		b.asked = until
	}
}

func (b *breaker) pause(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(b.until) {
		b.until = until
	}
}
