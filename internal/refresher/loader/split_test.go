// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// source is one that fails whole calls for some keys. It is the second kind of Source,
// beside that of package http.
type source struct {
	batch int
	bad   []string              // a call for one of them fails
	fails func([]string) *Error // how; in a way for which one key may be the reason, if nil
	fits  int                   // keys that one call takes, if not 0
	calls [][]string
}

func (s *source) Load(_ context.Context, keys []string) []Result {
	s.calls = append(s.calls, slices.Clone(keys))
	results := make([]Result, len(keys))
	for i, key := range keys {
		results[i].Value = []byte("value of " + key)
		if strings.HasPrefix(key, "unknown") {
			results[i] = Result{Err: Failf(NotFound, "there is no such key")}
		}
	}
	if !slices.ContainsFunc(keys, func(key string) bool { return slices.Contains(s.bad, key) }) {
		return results
	}
	failure := &Error{Reason: UnexpectedStatus, MayBeOneKey: true}
	if s.fails != nil {
		failure = s.fails(keys)
	}
	failure.WholeCall = true
	FailAll(results, failure)
	return results
}

func (s *source) BatchSize() int              { return s.batch }
func (s *source) Describe(key string) Request { return Request{Method: "TEST", Address: key} }
func (s *source) Close()                      {}

// small is a source one call of which takes fewer keys.
type small struct{ *source }

func (s small) Fit([]string) int { return s.fits }

func keys(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprint("key ", i))
	}
	return keys
}

// wantValues fails unless all keys have their own value, but for those that may fail.
func wantValues(t *testing.T, asked []string, got []Result, but ...string) {
	t.Helper()
	if len(got) != len(asked) {
		t.Fatalf("%d results for %d keys", len(got), len(asked))
	}
	for i, key := range asked {
		failed := got[i].Err != nil
		if failed != slices.Contains(but, key) || !failed && string(got[i].Value) != "value of "+key {
			t.Errorf("%s: %q, %v", key, got[i].Value, got[i].Failure())
		}
	}
}

func TestSplit(t *testing.T) {
	for sentence, c := range map[string]struct {
		source source
		keys   []string
		fail   []string
		calls  int
	}{
		"no key, no call":                                  {source{batch: 10}, nil, nil, 0},
		"as many as fit into a call are one":               {source{batch: 10}, keys(10), nil, 1},
		"more are several":                                 {source{batch: 10}, keys(21), nil, 3},
		"one at a time, where the source takes no more":    {source{batch: 1}, keys(3), nil, 3},
		"a key that fails all calls harms no other":        {source{batch: 16, bad: []string{"key 5"}}, keys(16), []string{"key 5"}, 9},
		"nor do two":                                       {source{batch: 16, bad: []string{"key 0", "key 15"}}, keys(16), []string{"key 0", "key 15"}, 13},
		"a key alone is not asked for again":               {source{batch: 16, bad: []string{"key 0"}}, keys(1), []string{"key 0"}, 1},
		"a loader that fails always costs five calls":      {source{batch: 16, bad: keys(16)}, keys(16), keys(16), 5},
		"keys that are unknown are answers":                {source{batch: 1}, []string{"unknown 1", "unknown 2", "unknown 3", "unknown 4", "unknown 5", "unknown 6", "key 1"}, []string{"unknown 1", "unknown 2", "unknown 3", "unknown 4", "unknown 5", "unknown 6"}, 7},
		"one call where no single key can be the reason":   {source{batch: 16, bad: keys(1), fails: func([]string) *Error { return Failf(ConnectionFailed, "") }}, keys(16), keys(16), 1},
		"with another reason for the parts, it ends there": {source{batch: 16, bad: keys(1), fails: func(k []string) *Error { return &Error{MayBeOneKey: len(k) == 16} }}, keys(16), keys(16), 2},
	} {
		t.Run(sentence, func(t *testing.T) {
			s := c.source
			wantValues(t, c.keys, Split(&s, nil).Load(t.Context(), c.keys), c.fail...)
			if len(s.calls) != c.calls {
				t.Errorf("%d calls, want %d: %q", len(s.calls), c.calls, s.calls)
			}
		})
	}
}

func TestSplitKeepsToWhatFits(t *testing.T) {
	s := small{&source{batch: 10, fits: 4}}
	wantValues(t, keys(10), Split(s, nil).Load(t.Context(), keys(10)))
	if len(s.calls) != 3 || len(s.calls[0]) != 4 || len(s.calls[2]) != 2 {
		t.Errorf("called with %q", s.calls)
	}
}

func TestPartsAreOfOneSize(t *testing.T) {
	for n, want := range map[int][]int{1: {1}, 2: {1, 1}, 3: {1, 1, 1}, 5: {1, 1, 1, 2}, 100: {25, 25, 25, 25}, 7: {1, 2, 2, 2}} {
		var got []int
		for _, p := range (part{make([]string, n), make([]Result, n)}).split() {
			got = append(got, len(p.keys))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d keys in parts of %v, want %v", n, got, want)
		}
	}
}

func TestSplitAsksBeforeEachFurtherCall(t *testing.T) {
	s := &source{batch: 2}
	asked := 0
	results := Split(s, func(context.Context) error {
		if asked++; asked == 2 {
			return errors.New("no more")
		}
		return nil
	}).Load(t.Context(), keys(6))
	wantValues(t, keys(6), results, "key 4", "key 5")
	if len(s.calls) != 2 {
		t.Errorf("%d calls after one more was allowed", len(s.calls))
	}
	if e := results[5].Err; e.Reason != Canceled {
		t.Errorf("keys that were not asked for fail with %v", e)
	}
}

func TestAfterATimeoutPartsNeedItsTime(t *testing.T) {
	s := &source{batch: 4, bad: keys(1), fails: func([]string) *Error {
		time.Sleep(20 * time.Millisecond)
		return &Error{Reason: Timeout, MayBeOneKey: true}
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	wantValues(t, keys(4), Split(s, nil).Load(ctx, keys(4)), keys(4)...)
	if len(s.calls) != 1 {
		t.Errorf("%d calls, though there was no time for a second", len(s.calls))
	}
}
