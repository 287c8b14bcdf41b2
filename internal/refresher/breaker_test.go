// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
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
			l := laneOf(c.keys, 1)
			play(l, c.ends)
			if got := l.breaker.down(l); got != c.down {
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
			l := laneOf(20, c.concurrent)
			play(l, c.ends)
			if got := l.breaker.over(l); got != c.over {
				t.Errorf("over = %d after %q, want %d", got, c.ends, c.over)
			}
		})
	}
}

func TestACallThatFailsCountsOnce(t *testing.T) {
	const size = 100
	l := laneOf(4*size, 1)
	for n := range 3 {
		if l.breaker.down(l) {
			t.Fatalf("down after %d calls", n)
		}
		one := &loader.Error{Reason: loader.UnexpectedStatus}
		calls := sharedFailures(slices.Repeat([]loader.Result{{Err: one}}, size))
		for i := range size {
			key := strconv.Itoa(n*size + i)
			l.breaker.failed(calls[one], l.failures(key) == 0, true)
			l.fail(key)
		}
		if l.breaker.streak != n+1 || l.breaker.newly != n+1 || l.breaker.loads != n+1 {
			t.Errorf("%+v after %d calls", l.breaker, n+1)
		}
	}
	if !l.breaker.down(l) {
		t.Error("up after three calls that failed")
	}
}

func TestAPauseIsOnlyEverProlonged(t *testing.T) {
	var b breaker
	now := time.Now()
	b.pause(now, time.Minute)
	b.pause(now, time.Second)
	b.pause(now, 0)
	if got := b.until.Sub(now); got != time.Minute {
		t.Errorf("paused for %s, want a minute", got)
	}
}

// Keys that wait for a slot have been acquired already, many more than there are
// slots where loads are quick.
func TestAnOpenBreakerLetsGoOfTheKeysThatWait(t *testing.T) {
	const keys, good = 2000, 1000
	w := newWorld(t, 0)
	var calls atomic.Int64
	w.backend.answer(func(rw http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) > good {
			time.Sleep(10 * time.Millisecond) // else many fail before the first is accounted for
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	for _, name := range names("product:", keys) {
		w.set(name, "old", time.Minute)
	}
	e := w.engine(Options{})
	p := w.plan(w.keyspace(func(k *Keyspace) {
		k.Expire, k.DueAfter, k.GuardTimeout, k.MaxConcurrent = time.Minute, 40*time.Second, 5*time.Second, 4
	}))
	w.apply(e, p)
	eventually(t, "the keys are found", 5*time.Second, func() bool { return products(e).Keys == keys })
	p.Refresh = "now"
	w.apply(e, p)
	eventually(t, "the breaker opens, and no key waits", 10*time.Second, func() bool {
		return calls.Load() > good && len(guards(t, w.rdb)) == 0
	})
	if failed := calls.Load() - good; failed > 50 {
		t.Errorf("a loader that is down was called %d times, by 4 at once", failed)
	}
}

// laneOf is a lane of keys that nothing runs.
func laneOf(keys, concurrent int) *lane {
	l := &lane{tenant: &tenant{},
		set:  &settings{Keyspace: Keyspace{MaxConcurrent: concurrent}},
		keys: schedule.New("", time.Now()), odd: map[string]*exception{},
	}
	for _, name := range names("", keys) {
		l.track(name)
	}
	return l
}

func play(l *lane, ends string) {
	for _, end := range strings.Split(ends, "") {
		key := strconv.Itoa(int(strings.ToLower(end)[0]-'a') % l.keys.Len())
		if end == strings.ToLower(end) {
			l.breaker.failed(nil, l.failures(key) == 0, true)
			l.fail(key)
		} else {
			l.breaker.succeeded()
			l.unexcept(key)
		}
	}
}
