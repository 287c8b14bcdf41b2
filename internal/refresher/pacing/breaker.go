// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package pacing

import "time"

const (
	// minFailures is the smallest number of failures in a row that opens a breaker.
	minFailures = 3
	// maxPause is the longest time that an open breaker waits between two tries.
	maxPause = 5 * time.Second
	// minToldPause is the shortest pause asked for by a loader that is reported.
	minToldPause = time.Second
)

// Breaker is a circuit breaker: it tells a loader that is down from single keys that
// fail. Keys that go on failing while others succeed do not count again. The zero
// Breaker is closed.
//
// Its methods take everyKeyFails, which says that the last rebuild of each key failed:
// a keyspace may have fewer keys than it takes failures to open a breaker.
type Breaker struct {
	streak int       // calls in a row that failed, over all keys
	newly  int       // those of them with a key that had not failed before
	loads  int       // those of them that failed by the loader, and not by Redis
	until  time.Time // no load begins before
	asked  time.Time // the loader asked for a pause until then, which makes keys late
}

// Succeeded ends a streak of failures.
func (b *Breaker) Succeeded() { b.streak, b.newly, b.loads = 0, 0, 0 }

// FailedCall is a call that failed. A breaker counts it once, however many keys failed
// with it.
type FailedCall struct{ counted, newly bool }

// Failed counts a key that failed with a call; call is nil if it was for that key
// alone. first says that the key's rebuild before did not fail, and byLoader that the
// loader is the cause, not Redis.
func (b *Breaker) Failed(call *FailedCall, first, byLoader bool) {
	if call == nil {
		call = new(FailedCall)
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
	if byLoader {
		b.loads++
	}
}

// Down says that keys fail as a whole, by the loader or by Redis.
func (b *Breaker) Down(everyKeyFails bool) bool {
	return b.streak >= minFailures && (b.newly >= minFailures || everyKeyFails)
}

// LoaderDown says that keys fail as a whole by the loader.
func (b *Breaker) LoaderDown(everyKeyFails bool) bool {
	return b.Down(everyKeyFails) && b.loads >= minFailures
}

// Open is 0 while the breaker is closed. While it is open, only one key at a time is to
// be tried, and Open counts the failures since.
func (b *Breaker) Open(everyKeyFails bool, maxConcurrent int) int {
	if !b.Down(everyKeyFails) {
		return 0
	}
	return max(0, b.streak-max(minFailures, maxConcurrent)+1)
}

// BackOff pauses after a failure while the breaker is open: open is what Open says.
func (b *Breaker) BackOff(open int, t Timing, random float64, now time.Time) {
	if open > 0 {
		b.pause(now, min(maxPause, t.Backoff(open, random)))
	}
}

// Asked pauses for as long as the loader asked to be left alone. PausedUntil reports the
// pause where keys turn late for it: a limit on rates that passes in a moment is no news.
func (b *Breaker) Asked(after, grace time.Duration, now time.Time) {
	b.pause(now, after)
	if until := now.Add(after); after > max(grace, minToldPause) && until.After(b.asked) {
		b.asked = until
	}
}

func (b *Breaker) pause(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(b.until) {
		b.until = until
	}
}

// Until is the end of the present pause, or of the last one.
func (b *Breaker) Until() time.Time { return b.until }

// PausedUntil is the end of the last pause that the loader asked for and that makes
// keys late; zero if there was none.
func (b *Breaker) PausedUntil() time.Time { return b.asked }
