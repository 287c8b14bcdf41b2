// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"math"
	"strings"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
)

const (
	// maxHints bounds the keys that are looked at again. What does not fit in is found
	// by the next listing.
	maxHints = 1 << 12
	// firstLook is how long after the event a key is looked at again. Each further
	// look comes after twice the time: the last one some 13 s after the event.
	firstLook = 200 * time.Millisecond
	hintLooks = 6
)

// hints are the new keys that had no expiry when they were heard of. Many an
// application writes a key and sets its TTL with a second command: a hint that
// came too early must not be the last word.
type hints struct {
	keys map[string]*hint
	next time.Time // the first look; zero without keys
}

type hint struct {
	at    time.Time // of the next look
	looks int       // that were begun
}

// needsHint says that nothing else will find a key: it is neither tracked nor kept.
func (t *Tracker) needsHint(key string) bool { return !t.conf.Kept && t.Find(key) == 0 }

// Told takes in what Redis said of keys that Heard asked for.
func (t *Tracker) Told(found []discover.Found, now time.Time) {
	t.LookedAgain(found)
	h := &t.hints
	for _, f := range found {
		if f.TTL == discover.NoExpiry && t.needsHint(f.Key) && h.keys[f.Key] == nil && len(h.keys) < maxHints {
			if h.keys == nil {
				h.keys = map[string]*hint{}
			}
			h.keys[strings.Clone(f.Key)] = &hint{at: now.Add(firstLook)}
			h.next = earlier(h.next, now.Add(firstLook))
		}
	}
}

// LookedAgain takes in what Redis said of the keys of LookAgain. It notes no key anew: one
// that never gets an expiry would be looked at for good.
func (t *Tracker) LookedAgain(found []discover.Found) {
	t.Found(found, 0)
	for _, f := range found {
		if f.TTL != discover.NoExpiry || !t.needsHint(f.Key) {
			delete(t.hints.keys, f.Key)
		}
	}
}

// LookAgain returns the keys of which Redis is to be asked once more, as they had no
// expiry when they were heard of, and how long it is until there may be others.
func (t *Tracker) LookAgain(now time.Time) (keys []string, wait time.Duration) {
	h := &t.hints
	if h.next.IsZero() {
		return nil, math.MaxInt64
	}
	if now.Before(h.next) {
		return nil, h.next.Sub(now)
	}
	h.next = time.Time{}
	for key, hint := range h.keys {
		if !now.Before(hint.at) {
			keys = append(keys, key)
			hint.looks++
			hint.at = now.Add(firstLook << hint.looks)
		}
		if hint.looks == hintLooks {
			delete(h.keys, key)
		} else {
			h.next = earlier(h.next, hint.at)
		}
	}
	if h.next.IsZero() {
		return keys, math.MaxInt64
	}
	return keys, h.next.Sub(now)
}

// earlier is the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
