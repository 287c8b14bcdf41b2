// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"math"
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
// application writes a key and sets its lifetime with a second command: a hint that
// came too early must not be the last word.
type hints struct {
	keys map[string]*hint
	next time.Time // the first look; zero without keys
}

type hint struct {
	at    time.Time // of the next look
	looks int       // that were begun
}

// heard takes in what Redis said of keys that it had just told of.
func (h *hints) heard(found []discover.Found, known func(key string) bool, now time.Time) {
	h.looked(found, known)
	for _, f := range found {
		if f.TTL == discover.NoExpiry && !known(f.Key) && h.keys[f.Key] == nil && len(h.keys) < maxHints {
			if h.keys == nil {
				h.keys = map[string]*hint{}
			}
			h.keys[f.Key] = &hint{at: now.Add(firstLook)}
			h.next = earlier(h.next, now.Add(firstLook))
		}
	}
}

// looked takes in what Redis said at a further look. It notes no key anew: one that
// never gets an expiry would be looked at for good.
func (h *hints) looked(found []discover.Found, known func(key string) bool) {
	for _, f := range found {
		if f.TTL != discover.NoExpiry || known(f.Key) {
			delete(h.keys, f.Key)
		}
	}
}

// due begins a look at the keys whose time has come, and says how long it is until
// the next.
func (h *hints) due(now time.Time) (keys []string, wait time.Duration) {
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

// lookAgain asks Redis, beside the loop, about the keys that had no expiry when they
// were heard of, and says how long it is until it is to be asked again.
func (l *lane) lookAgain(now time.Time) time.Duration {
	keys, wait := l.hints.due(now)
	if len(keys) > 0 {
		srv := l.srv
		srv.users.Add(1)
		go func() {
			defer srv.users.Done()
			err := discover.Inspect(l.ctx, srv.rdb, keys, func(found []discover.Found) error {
				l.do(func() {
					l.found(found, 0)
					l.hints.looked(found, l.tracks)
				})
				return nil
			})
			if err != nil && l.ctx.Err() == nil {
				srv.suspect(err)
				srv.wantList.Set() // it will find them
			}
		}()
	}
	return wait
}

// told takes in what Redis says of keys that it told of by events.
func (l *lane) told(found []discover.Found) error {
	l.do(func() {
		l.found(found, 0)
		l.hints.heard(found, l.tracks, time.Now())
	})
	return nil
}

// tracks says that a key needs no hint: it is in the schedule, or is not to be.
func (l *lane) tracks(key string) bool { return l.keys.Find(key) != 0 || l.set.kept() }
