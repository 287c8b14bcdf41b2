// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"fmt"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

func TestASampleCountsOnlyWhatTheLaneDidNotKnow(t *testing.T) {
	w := newWorld(t, 0)
	now := time.Now()
	const fresh, stale = 1900 * time.Millisecond, 100 * time.Millisecond // of 2 s
	for sentence, c := range map[string]struct {
		believed, said time.Duration
		kept           bool
		want           counts
	}{
		"fresh, and Redis agrees":                     {fresh, fresh, false, counts{keys: 1}},
		"fresh, but stale in Redis":                   {fresh, stale, false, counts{keys: 1, stale: 1}},
		"stale, and Redis agrees":                     {stale, stale, false, counts{keys: 1}},
		"fresh, but a kept key is missing":            {fresh, discover.Missing, true, counts{keys: 1, missing: 1}},
		"fresh, but the application deleted it":       {fresh, discover.Missing, false, counts{keys: 1, vanished: 1}},
		"fresh, but the application made it lasting":  {fresh, discover.NoExpiry, false, counts{keys: 1}},
		"not asked about since the last load of ours": {fresh, -5, false, counts{}},
	} {
		set, err := compile(w.keyspace(func(k *Keyspace) {
			if c.kept {
				k.Keys = []string{"product:1"}
			}
		}), loader.Environment{})
		if err != nil {
			t.Fatal(err)
		}
		l := newLane(New(Options{}), catalog, set, &server{})
		l.expires(l.track("product:1"), now.Add(c.believed))
		if c.said == -5 {
			l.except("product:1", exception{loaded: now})
		}
		if got := l.surprises([]discover.Found{{Key: "product:1", TTL: c.said, At: now}}); got != c.want {
			t.Errorf("%s: %+v, want %+v", sentence, got, c.want)
		}
	}
}

func TestASampleSpeaksForTheKeysOutsideOfIt(t *testing.T) {
	for sentence, c := range map[string]struct{ counted, sample, want counts }{
		"no sample yet":              {counts{keys: 1000, fresh: 1000}, counts{}, counts{keys: 1000, fresh: 1000}},
		"a sample without surprises": {counts{keys: 1000, fresh: 900, stale: 100}, counts{keys: 100}, counts{keys: 1000, fresh: 900, stale: 100}},
		"a sample of all keys":       {counts{keys: 100, fresh: 100}, counts{keys: 100, stale: 9}, counts{keys: 100, fresh: 100}},
		"surprises are scaled":       {counts{keys: 1000, fresh: 1000}, counts{keys: 100, stale: 2, missing: 1}, counts{keys: 1000, fresh: 970, stale: 20, missing: 10}},
		"no more than were fresh":    {counts{keys: 1000, fresh: 5, stale: 995}, counts{keys: 100, stale: 60, missing: 60}, counts{keys: 1000, stale: 995, missing: 5}},
	} {
		if got := c.counted.corrected(c.sample); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, want %+v", sentence, got, c.want)
		}
	}
}
