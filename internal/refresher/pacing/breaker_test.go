// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package pacing

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWhenALoaderIsDown(t *testing.T) {
	for what, c := range map[string]struct {
		ends string // of loads: key by key, a capital letter succeeds
		keys int
		down bool
	}{
		"not before the first load":                       {"", 9, false},
		"not after two failures":                          {"ab", 9, false},
		"after three keys failed in a row":                {"abc", 9, true},
		"not if one succeeds between":                     {"abXcd", 9, false},
		"not if few keys go on failing":                   {"abaXbaabaabab", 9, false},
		"not if many keys went on failing among others":   {"aXbXcXdXabcdabcd", 9, false},
		"if keys fail that had not, among those that had": {"aXbXcXabcdef", 9, true},
		"if the only key goes on failing":                 {"aaa", 1, true},
		"not any more after one success":                  {"abcdefghX", 9, false},
	} {
		t.Run(what, func(t *testing.T) {
			l := newLoads(c.keys, 1)
			l.play(c.ends)
			if got := l.breaker.Down(l.allFail()); got != c.down {
				t.Errorf("down = %v after %q over %d keys", got, c.ends, c.keys)
			}
		})
	}
}

func TestABreakerOpensOnceAllThatRanHaveFailed(t *testing.T) {
	for what, c := range map[string]struct {
		concurrent int
		ends       string
		over       int
	}{
		"closed while it is up":                         {1, "ab", 0},
		"open with the third failure":                   {1, "abc", 1},
		"wider with each one more":                      {1, "abcde", 3},
		"not yet while the loads at once are not over":  {6, "abcde", 0},
		"then it is":                                    {6, "abcdef", 1},
		"closed by a success":                           {1, "abcdefX", 0},
		"closed though the same few keys fail at times": {1, "aXbXcXabcabcabc", 0},
	} {
		t.Run(what, func(t *testing.T) {
			l := newLoads(20, c.concurrent)
			l.play(c.ends)
			if got := l.breaker.Open(l.allFail(), l.concurrent); got != c.over {
				t.Errorf("over = %d after %q, want %d", got, c.ends, c.over)
			}
		})
	}
}

func TestACallThatFailsCountsOnce(t *testing.T) {
	l := newLoads(400, 1)
	for n := range 3 {
		if l.breaker.Down(l.allFail()) {
			t.Fatalf("down after %d calls", n)
		}
		call := new(FailedCall)
		for i := range 100 {
			l.fail(n*100+i, call)
		}
		if l.breaker.streak != n+1 || l.breaker.newly != n+1 || l.breaker.loads != n+1 {
			t.Errorf("%+v after %d calls", l.breaker, n+1)
		}
	}
	if !l.breaker.Down(l.allFail()) {
		t.Error("up after three calls that failed")
	}
}

func TestAPauseIsOnlyEverProlonged(t *testing.T) {
	var b Breaker
	now := time.Now()
	b.pause(now, time.Minute)
	b.pause(now, time.Second)
	b.pause(now, 0)
	if got := b.until.Sub(now); got != time.Minute {
		t.Errorf("paused for %s, want a minute", got)
	}
}

// A limit on rates that passes in a moment is honoured, and is no news.
func TestAShortPauseIsNotToldOf(t *testing.T) {
	now := time.Now()
	for sentence, c := range map[string]struct {
		after, grace time.Duration
		told         bool
	}{
		"shorter than keys may be late": {2 * time.Second, 3 * time.Second, false},
		"longer than keys may be late":  {4 * time.Second, 3 * time.Second, true},
		"a moment":                      {time.Second, 10 * time.Millisecond, false},
	} {
		var b Breaker
		b.Asked(c.after, c.grace, now)
		if !b.Until().Equal(now.Add(c.after)) || b.PausedUntil().IsZero() == c.told {
			t.Errorf("%s: paused until %s, told: %v", sentence, b.Until(), !b.PausedUntil().IsZero())
		}
	}
}

// loads are loads of so many keys, by a breaker.
type loads struct {
	breaker    Breaker
	concurrent int
	failing    []bool // by key
}

func newLoads(keys, concurrent int) *loads {
	return &loads{concurrent: concurrent, failing: make([]bool, keys)}
}

func (l *loads) allFail() bool { return !slices.Contains(l.failing, false) }

func (l *loads) fail(key int, call *FailedCall) {
	l.breaker.Failed(call, !l.failing[key], true)
	l.failing[key] = true
}

// play has loads end, one letter for each: a key by its letter, a capital one succeeds.
func (l *loads) play(ends string) {
	for _, end := range strings.Split(ends, "") {
		if end == "" {
			continue
		}
		key := int(strings.ToLower(end)[0]-'a') % len(l.failing)
		if end == strings.ToLower(end) {
			l.fail(key, nil)
		} else {
			l.breaker.Succeeded()
			l.failing[key] = false
		}
	}
}
