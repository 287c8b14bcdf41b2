// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"slices"
	"strconv"
	"strings"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
)

// maxPatterns bounds how many patterns Redis has to compare each new key with
// (it takes them one by one). Where keyspaces have more prefixes than that, they
// are shortened until they coincide; the owner drops what it did not ask for.
const maxPatterns = 8

// reserved is how keys of our own begin. Nobody watches them.
const reserved = keyspace.Reserved

// means are the two forms in which Redis publishes an event of a key.
//
//	keyspace   __keyspace@0__:product:42   "new"         flag K
//	keyevent   __keyevent@0__:new          "product:42"  flag E
//
// By pattern, keyspace tells of certain keys only, but of whatever happens to
// them. keyevent tells of certain events only, but of all keys, our own locks
// among them.
type means int

const (
	byKeyspace means = iota + 1
	byKeyevent
)

// channels are the names that one database publishes under.
type channels struct{ space, event string }

func channelsOf(database int) channels {
	db := "@" + strconv.Itoa(database) + "__:"
	return channels{space: "__keyspace" + db, event: "__keyevent" + db}
}

// parse says which event of which key a message is about.
func (c channels) parse(channel, payload string) (by means, event, key string) {
	if key, ok := strings.CutPrefix(channel, c.space); ok {
		return byKeyspace, payload, key
	}
	if event, ok := strings.CutPrefix(channel, c.event); ok {
		return byKeyevent, event, payload
	}
	return 0, "", ""
}

// keyevents are the channels to listen to where events come by keyevent.
func (c channels) keyevents(misses bool) []string {
	var names []string
	for _, event := range []string{"new", "del", "expired", "evicted", "rename_from", "move_from"} {
		names = append(names, c.event+event)
	}
	if misses {
		names = append(names, c.event+"keymiss")
	}
	return names
}

// kindOf is what an event means; 0 if nothing to us.
func kindOf(event string) Kind {
	switch event {
	case "new":
		return Created
	case "del", "expired", "evicted", "rename_from", "move_from":
		return Gone
	case "keymiss":
		return Missed
	}
	return 0
}

// merge returns at most limit prefixes that every key with one of the given ones
// has: none that another one covers, and, if they are too many, all cut to the
// greatest length at which they are not.
func merge(prefixes []string, limit int) []string {
	sorted := slices.Sorted(slices.Values(prefixes))
	low, high := 0, 0 // cut to low they are few enough
	for _, p := range sorted {
		high = max(high, len(p))
	}
	for low < high {
		mid := (low + high + 1) / 2
		if len(covering(sorted, mid)) <= limit {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return covering(sorted, low)
}

// covering cuts sorted prefixes to a length, and leaves out those that another
// one covers.
func covering(sorted []string, length int) []string {
	var kept []string
	for _, p := range sorted {
		p = p[:min(len(p), length)]
		if len(kept) == 0 || !strings.HasPrefix(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}

// covered says whether a key has one of the prefixes.
func covered(key string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}
