// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"math/bits"
	"time"
)

const (
	// splitParts is into how many parts a batch is split that fails. To find one bad
	// key, four take as many calls as two would, and half as many that fail: of those,
	// each may last until its timeout.
	splitParts = 4
	// maxFailuresInARow ends the splitting of a batch. With up to three keys that fail
	// all that they are asked with, no more than four calls in a row do. So a loader that
	// is down costs five calls.
	maxFailuresInARow = 5
)

// Fitter is a Source that one call may take fewer keys of than BatchSize, as they are
// large.
type Fitter interface {
	// Fit is how many of the first keys one call can be for: at least 1.
	Fit(keys []string) int
}

// Split decorates a source so that it loads any number of keys, and a key for which
// calls fail harms no other. Up to BatchSize keys are one call, and more only if it fails
// in a way for which one of the keys may be the reason: then each quarter is tried, and
// quarters of what fails again, largest first. That ends when the loader seems to fail as
// a whole, and when ctx does. The calls follow one upon another.
//
// again is asked before each call but the first. It may wait, or return an error, which
// ends the load with the failures seen so far. It may be nil.
func Split(s Source, again func(context.Context) error) Source { return splitter{s, again} }

type splitter struct {
	Source
	again func(context.Context) error
}

// Load is the source's, for any number of keys.
func (s splitter) Load(ctx context.Context, keys []string) []Result {
	queue, results := s.parts(keys)
	if len(queue) == 1 && len(keys) == 1 {
		return s.Source.Load(ctx, keys)
	}
	s.loadParts(ctx, queue, 4*bits.Len(uint(len(keys)))) // enough to single out two keys
	return results
}

// part is what one call is for, and where the answers go.
type part struct {
	keys    []string
	results []Result
}

// split returns p in up to splitParts parts.
func (p part) split() []part {
	var parts []part
	for n := min(splitParts, len(p.keys)); n > 0; n-- {
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
func (s splitter) parts(keys []string) (parts []part, results []Result) {
	results = make([]Result, len(keys))
	fitter, _ := s.Source.(Fitter)
	for rest := (part{keys, results}); len(rest.keys) > 0; {
		n := min(s.BatchSize(), len(rest.keys))
		if fitter != nil {
			n = min(n, fitter.Fit(rest.keys[:n]))
		}
		var head part
		head, rest = rest.cut(n)
		parts = append(parts, head)
	}
	return parts, results
}

// loadParts calls for each part, and for quarters of those that fail: up to extra calls
// more than there are parts.
func (s splitter) loadParts(ctx context.Context, queue []part, extra int) {
	calls, failures := len(queue)+extra, 0
	for first := true; len(queue) > 0; first = false {
		if !first && s.again != nil && s.again(ctx) != nil {
			break
		}
		p := queue[0]
		queue = queue[1:]
		began := time.Now()
		copy(p.results, s.Source.Load(ctx, p.keys))
		calls--
		failure := failedTogether(p)
		if failure == nil {
			failures = 0
			continue
		}
		failures++
		if failures == maxFailuresInARow || calls == 0 || ctx.Err() != nil || !failure.MayBeOneKey {
			break
		}
		if len(p.keys) > 1 && timeForParts(ctx, failure, time.Since(began)) {
			queue = append(queue, p.split()...)
		}
	}
	// A part of a call that failed has that call's failure; the rest was never asked for.
	for _, p := range queue {
		if p.results[0].Err == nil {
			FailAll(p.results, notCalled(ctx))
		}
	}
}

// failedTogether is the failure of a call as a whole; nil if it was answered.
func failedTogether(p part) *Error {
	for _, r := range p.results {
		if r.Err != nil && r.Err.WholeCall {
			return r.Err
		}
	}
	return nil
}

// timeForParts says whether there is time to ask for the parts of what failed. After a
// timeout, a part with less time would end no better.
func timeForParts(ctx context.Context, failure *Error, took time.Duration) bool {
	deadline, bounded := ctx.Deadline()
	return failure.Reason != Timeout || !bounded || time.Until(deadline) >= took
}

// notCalled is the failure of keys that were not asked for.
func notCalled(ctx context.Context) *Error {
	switch err := ctx.Err(); {
	case err == nil:
		return Failf(Canceled, "the loader was not called for these keys, as other keys of the batch failed")
	case errors.Is(err, context.Canceled):
		return &Error{Reason: Canceled, Message: "cancelled while waiting for the turn to call the loader", Err: err}
	default:
		return &Error{Reason: Timeout, Message: "no turn to call the loader in time", Err: err}
	}
}
