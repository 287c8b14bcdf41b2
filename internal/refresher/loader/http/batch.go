// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// Bounds on the call for a batch.
const (
	maxKeyBytes = 64 << 10
	// maxAskedBytes bounds the keys of one call, all together.
	maxAskedBytes = 512 << 10
)

// Fit is how many of the first keys one call can be for, by their length.
func (l *Source) Fit(keys []string) int {
	size := 0
	for n, key := range keys {
		if size += len(key); n > 0 && size > maxAskedBytes {
			return n
		}
	}
	return len(keys)
}

// loadBatch loads the keys that can be asked for, by one call.
func (l *Source) loadBatch(ctx context.Context, keys []string, results []loader.Result) {
	bad := 0
	for i, key := range keys {
		if results[i].Err = l.checkKey(key); results[i].Err != nil {
			bad++
		}
	}
	if bad == 0 {
		l.callBatch(ctx, batch{keys, results})
		return
	}
	asked, places := make([]string, 0, len(keys)-bad), make([]int, 0, len(keys)-bad)
	for i, key := range keys {
		if results[i].Err == nil {
			asked, places = append(asked, key), append(places, i)
		}
	}
	if len(asked) == 0 {
		return
	}
	answered := make([]loader.Result, len(asked))
	l.callBatch(ctx, batch{asked, answered})
	for i, place := range places {
		results[place] = answered[i]
	}
}

func (l *Source) checkKey(key string) *loader.Error {
	switch {
	case len(key) > maxKeyBytes:
		return loader.Failf(loader.InvalidKey, "the key has more than %d bytes", maxKeyBytes)
	case !utf8.ValidString(key):
		return loader.Failf(loader.InvalidKey, "the key is not UTF-8, and so cannot be asked for in a batch")
	case !l.urls.keys.Matches(key):
		return loader.Failf(loader.InvalidKey, "the key does not match the template %q", l.urls.keys)
	}
	return nil
}

// batch is what one call asks for, and where the answers go.
type batch struct {
	keys    []string
	results []loader.Result
}

// callBatch calls once, and sets each of the results.
func (l *Source) callBatch(ctx context.Context, b batch) {
	body, hold, failure := l.exchange(ctx, l.batch, appendQuestion(nil, b.keys))
	if failure == nil {
		why := readAnswer(body, b)
		if why == "" {
			hold.Share(b.results)
			return
		}
		hold.Release()
		failure = loader.Failf(loader.BodyBroken, "%s answered with 200 OK, but %s", l.urls.host, why)
		failure.Status, failure.MayBeOneKey = http.StatusOK, true
	}
	if failure.Reason == loader.NotFound {
		// All that is certain is that nothing is at this URL. To delete every key
		// for that would be rash.
		failure.Reason = loader.UnexpectedStatus
		failure.Message += "; a batch is answered with 200, and keys without a value are listed under notFound"
	}
	failure.WholeCall = true
	failure.Message += fmt.Sprintf(" (a batch of %d)", len(b.keys))
	loader.FailAll(b.results, failure)
}
