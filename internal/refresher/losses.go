// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"strconv"
	"strings"
)

const (
	// lossWindow is how many of the last samples count: a minute, where a lane is
	// sampled each time.
	lossWindow = 6
	// lossSamples of them have to miss more than lossShare of the keys. One alone may
	// be a FLUSHALL, or an application that cleans up.
	lossSamples = 3
	lossShare   = 0.05
)

// losses are the shares of kept keys that were gone though the lane thought them fresh,
// by the last samples. A key that is filled and evicted again is never late by itself.
type losses struct {
	shares [lossWindow]float64
	next   int
}

func (l *losses) add(missing, keys int64) {
	l.shares[l.next] = 0
	if keys > 0 {
		l.shares[l.next] = float64(missing) / float64(keys)
	}
	l.next = (l.next + 1) % lossWindow
}

// constant is the mean share that is gone, if keys go again and again, else 0.
func (l *losses) constant() (share float64) {
	many, sum := 0, 0.0
	for _, s := range l.shares {
		if sum += s; s > lossShare {
			many++
		}
	}
	if many < lossSamples {
		return 0
	}
	return sum / lossWindow
}

// evictions count the keys that a Redis evicted, over as many looks.
type evictions struct {
	looks [lossWindow + 1]int64 // the server's own count
	n     int
}

// add takes in the server's count, and returns how many of it are of the last looks. A
// count that is less than before is that of another run.
func (e *evictions) add(count int64) int64 {
	if e.n > 0 && count < e.looks[(e.n-1)%len(e.looks)] {
		e.n = 0
	}
	e.looks[e.n%len(e.looks)] = count
	e.n++
	return count - e.looks[max(0, e.n-len(e.looks))%len(e.looks)]
}

// unknownEvictions is the count where Redis does not tell.
const unknownEvictions = -1

// lookForEvictions asks Redis how many keys it has evicted.
func (s *server) lookForEvictions(ctx context.Context) {
	info, err := s.rdb.Info(ctx, "stats").Result()
	if err == nil {
		for line := range strings.Lines(info) {
			if value, found := strings.CutPrefix(line, "evicted_keys:"); found {
				if count, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
					s.evicted.Store(s.evictions.add(count))
					return
				}
			}
		}
	}
	s.evictions = evictions{}
	s.evicted.Store(unknownEvictions)
}
