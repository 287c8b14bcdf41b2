// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"container/list"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
)

// KeyOutcome is how the last rebuild of a key ended.
type KeyOutcome struct {
	Time    time.Time
	Outcome string
	Failure *rebuild.Failure // why, where there is something to tell
}

// outcomeWords are the words for what is remembered of rebuilds.
var outcomeWords = map[rebuild.Outcome]string{
	rebuild.Committed: "Committed", rebuild.Deleted: "Deleted", rebuild.NotFound: "NotFound", rebuild.Changed: "Changed",
	rebuild.Failed: "Failed", rebuild.Lost: "Lost", rebuild.Ignored: "Ignored",
}

// maxRecent bounds what a worker remembers of single keys.
const maxRecent = 100

// recent remembers how the last rebuilds ended that did not simply commit: of
// the keys that had such an end last.
type recent struct {
	order list.List // of recalled, the latest first
	by    map[string]*list.Element
}

type recalled struct {
	key string
	KeyOutcome
}

func (r *recent) note(res rebuild.Result, now time.Time) {
	word := outcomeWords[res.Outcome]
	if word == "" {
		return // it was not rebuilt
	}
	key := res.Key
	if known := r.by[key]; known != nil {
		r.order.Remove(known)
		delete(r.by, key)
	}
	if res.Outcome == rebuild.Committed {
		return // the schedule remembers that
	}
	if r.by == nil {
		r.by = map[string]*list.Element{}
	}
	r.by[key] = r.order.PushFront(recalled{key, KeyOutcome{now, word, res.Failure}})
	if r.order.Len() > maxRecent {
		delete(r.by, r.order.Remove(r.order.Back()).(recalled).key)
	}
}

// of is how the last rebuild of a key ended, as far as that is remembered, or
// told by when it was loaded and how often it has failed since.
func (r *recent) of(key string, loaded time.Time, failures int) *KeyOutcome {
	switch known := r.by[key]; {
	case known != nil:
		out := known.Value.(recalled).KeyOutcome
		return &out
	case loaded.IsZero():
		return nil
	case failures > 0:
		return &KeyOutcome{Time: loaded, Outcome: outcomeWords[rebuild.Failed]}
	default:
		return &KeyOutcome{Time: loaded, Outcome: outcomeWords[rebuild.Committed]}
	}
}
