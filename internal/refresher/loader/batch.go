// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"fmt"
	"math/bits"
	"net/http"
	"time"
	"unicode/utf8"
)

// Bounds on the calls for a batch.
const (
	maxKeyBytes = 64 << 10
	// maxAskedBytes bounds the keys of one call, all together.
	maxAskedBytes = 512 << 10
	// split is into how many parts a batch is split that fails. To find one bad
	// key, four take as many calls as two would, and half as many that fail: of
	// those, each may last until its timeout.
	split = 4
	// maxFailuresInARow ends the splitting of a batch. With up to three keys that
	// fail all that they are asked with, no more than four calls in a row do. So a
	// loader that is down costs five calls.
	maxFailuresInARow = 5
)

// Result is what became of one key of a batch.
type Result struct {
	Value []byte // the caller's; not nil if Err is
	// Err says why there is no value. Keys that failed with one call, as opposed
	// to each by itself, share one *Error.
	Err *Error
	// Hold is to be released when the value is not held any more; may be nil.
	Hold *Hold
}

// Failure is Err as an error, nil if there is none.
func (r Result) Failure() error {
	if r.Err == nil {
		return nil
	}
	return r.Err
}

// BatchSize returns how many keys a call may hold: 1 for a loader that is called
// for each key.
func (l *Loader) BatchSize() int { return max(1, l.batchSize) }

// LoadMany loads keys, none of them twice, and returns what became of each, in
// their order. For up to BatchSize keys that is one call, and more only if it
// fails in a way for which one of the keys may be the reason: then each quarter is
// tried, and quarters of what fails again, largest first, so that such a key harms
// no other. That ends when the loader seems to fail as a whole, and when ctx
// does. The calls follow one upon another.
//
// again is asked before each call but the first. It may wait, or return an error,
// which ends the batch with the failures seen so far. It may be nil.
func (l *Loader) LoadMany(ctx context.Context, keys []string, again func(context.Context) error) []Result {
	results := make([]Result, len(keys))
	if l.batchSize == 0 {
		l.loadEach(ctx, keys, results, again)
		return results
	}
	asked, places := l.checkKeys(keys, results)
	if places == nil {
		l.loadParts(ctx, l.parts(keys, results), again)
		return results
	}
	loaded := make([]Result, len(asked))
	l.loadParts(ctx, l.parts(asked, loaded), again)
	for i, place := range places {
		results[place] = loaded[i]
	}
	return results
}

// loadEach is LoadMany for a loader without batches.
func (l *Loader) loadEach(ctx context.Context, keys []string, results []Result, again func(context.Context) error) {
	for i, key := range keys {
		if i > 0 && again != nil && again(ctx) != nil {
			fail(results[i:], l.stopped(ctx))
			return
		}
		results[i] = l.LoadOne(ctx, key)
	}
}

// checkKeys finds the keys that cannot be asked for. If there are any, it fails
// them, and returns the others and their places.
func (l *Loader) checkKeys(keys []string, results []Result) (asked []string, places []int) {
	bad := 0
	for i, key := range keys {
		if results[i].Err = l.checkKey(key); results[i].Err != nil {
			bad++
		}
	}
	if bad == 0 {
		return keys, nil
	}
	places = make([]int, 0, len(keys)-bad)
	for i, key := range keys {
		if results[i].Err == nil {
			asked, places = append(asked, key), append(places, i)
		}
	}
	return asked, places
}

func (l *Loader) checkKey(key string) *Error {
	switch {
	case len(key) > maxKeyBytes:
		return failf(InvalidKey, "the key has more than %d bytes", maxKeyBytes)
	case !utf8.ValidString(key):
		return failf(InvalidKey, "the key is not UTF-8, and so cannot be asked for in a batch")
	case !l.urls.keys.Matches(key):
		return failf(InvalidKey, "the key does not match the template %q", l.urls.keys)
	}
	return nil
}

// part is what one call asks for, and where the answers go.
type part struct {
	keys    []string
	results []Result
}

// split returns p in up to split parts.
func (p part) split() []part {
	var parts []part
	for n := min(split, len(p.keys)); n > 0; n-- {
		var head part
		head, p = p.cut(len(p.keys) / n)
		parts = append(parts, head)
	}
	return parts
}

func (p part) cut(n int) (head, tail part) {
	return part{p.keys[:n], p.results[:n]}, part{p.keys[n:], p.results[n:]}
}

// parts cuts keys into calls.
func (l *Loader) parts(keys []string, results []Result) []part {
	var parts []part
	rest := part{keys, results}
	n, size := 0, 0
	for n < len(rest.keys) {
		size += len(rest.keys[n])
		if n == l.batchSize || n > 0 && size > maxAskedBytes {
			var head part
			head, rest = rest.cut(n)
			parts = append(parts, head)
			n, size = 0, 0
			continue
		}
		n++
	}
	if n > 0 {
		parts = append(parts, rest)
	}
	return parts
}

// loadParts calls for each part, and for quarters of those that fail.
func (l *Loader) loadParts(ctx context.Context, queue []part, again func(context.Context) error) {
	keys := 0
	for _, p := range queue {
		keys += len(p.keys)
	}
	// Enough to single out two keys.
	calls := len(queue) + 4*bits.Len(uint(keys))
	failures := 0
	for first := true; len(queue) > 0; first = false {
		if !first && again != nil && again(ctx) != nil {
			break
		}
		p := queue[0]
		queue = queue[1:]
		failure := l.callBatch(ctx, p)
		calls--
		if failure == nil {
			failures = 0
			continue
		}
		fail(p.results, failure)
		failures++
		if failures == maxFailuresInARow || calls == 0 || ctx.Err() != nil || !failure.MayBeOneKey() {
			break
		}
		if len(p.keys) > 1 && l.timeForParts(ctx, failure) {
			queue = append(queue, p.split()...)
		}
	}
	// What was part of a call that failed has that failure; the rest was never
	// asked for.
	for _, p := range queue {
		if p.results[0].Err == nil {
			fail(p.results, l.stopped(ctx))
		}
	}
}

// timeForParts says whether there is time to ask for the parts of what failed.
// After a timeout, a part with less time would end no better.
func (l *Loader) timeForParts(ctx context.Context, failure *Error) bool {
	deadline, bounded := ctx.Deadline()
	return failure.Reason != Timeout || !bounded || time.Until(deadline) >= l.timeout
}

// fail fails all keys of a call.
func fail(results []Result, failure *Error) {
	for i := range results {
		results[i] = Result{Err: failure}
	}
}

// stopped is the failure of keys that were not asked for.
func (l *Loader) stopped(ctx context.Context) *Error {
	if failure := l.ended(ctx, "turn to call"); failure != nil {
		return failure
	}
	return failf(Canceled, "%s was not called for these keys, as other keys of the batch failed", l.urls.host)
}

// callBatch calls once. Without a failure of the call as a whole, each of the
// results is set.
func (l *Loader) callBatch(ctx context.Context, p part) *Error {
	body, hold, failure := l.exchange(ctx, l.batch, appendQuestion(nil, p.keys))
	if failure == nil {
		if why := readAnswer(body, p); why != "" {
			hold.Release()
			failure = failf(BodyBroken, "%s answered with 200 OK, but %s", l.urls.host, why)
			failure.Status = http.StatusOK
		}
	}
	if failure == nil {
		hold.share(p.results)
		return nil
	}
	if failure.Reason == NotFound {
		// All that is certain is that nothing is at this URL. To delete every key
		// for that would be rash.
		failure.Reason = UnexpectedStatus
		failure.Message += "; a batch is answered with 200, and keys without a value are listed under notFound"
	}
	failure.Message += fmt.Sprintf(" (a batch of %d)", len(p.keys))
	return failure
}
