// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
)

// machine is a worker with all that happens to it, at random: a Redis, a loader, an
// application, other engines, listings and key events. Whatever they do, the rules
// in machine_rules_test.go hold.
type machine struct {
	t     testing.TB
	w     *Worker
	redis *machineRedis
	kind  shape // what it is first
	shape shape // what it is now
	mild  bool  // nothing goes wrong, and the worker is told of all: then no key expires

	standby atomic.Bool
	foreign atomic.Pointer[string] // a key that is another engine's
	why     atomic.Pointer[string] // the first rule that was broken

	mu      sync.Mutex // over what follows: rebuilds run beside
	rnd     *rand.Rand
	names   []string
	keys    map[string]*subject
	guards  map[string]*subject // by the guard's name
	temper  mood
	down    bool
	limits  limits
	running int // calls to the loader
	loads   int
	sweeps  []*sweep
	pass    uint64
	tokens  int
	token   string        // of the last refresh on demand
	early   string        // the token of a refresh that may begin before the one before it has ended
	longest pacing.Timing // the longest of each that any settings had
}

// wait has the worker call f, and returns after it did.
func (m *machine) wait(f func()) { _ = m.w.wait(context.Background(), f) }

// subject is a key, as Redis has it, and what the worker did with it.
type subject struct {
	name   string
	kind   string    // its TYPE; empty if it is not there
	gone   time.Time // since when it is not
	expiry time.Time // zero for none
	told   int64     // the version that the worker was told of

	token string // of the guard
	until time.Time

	job     rebuild.Job
	calls   int // since its guard was taken
	loading int
	ended   time.Time     // the last call
	fill    bool          // it was missing then
	least   time.Duration // the interval then
	failed  bool          // so has its last rebuild
	rests   time.Time     // no load before
	served  string        // the last refresh on demand that it was loaded for
	looks   int           // within the second
	second  int64
}

// mood is what the world is like for a while.
type mood struct {
	slow                       time.Duration // loads take up to this
	fails, unknown, hangs      float64       // shares of the loads
	writes, holds, interferes  float64       // of the acts, by others; and during a load
	unheard, untold, scattered float64       // answers of Redis lost; key events lost; TTLs at random
}

// moods are what changes at random. Each is bad in its own way.
var moods = []mood{
	{slow: 20 * time.Millisecond},
	{slow: 300 * time.Millisecond, writes: 0.3, holds: 0.1, interferes: 0.2, untold: 0.5, scattered: 0.7},
	{slow: 100 * time.Millisecond, fails: 0.4, unknown: 0.1, writes: 0.1, interferes: 0.1, untold: 0.5, scattered: 0.3},
	{slow: 2 * time.Second, hangs: 0.1, writes: 0.1, holds: 0.3, untold: 1, scattered: 0.5},
	{slow: 50 * time.Millisecond, fails: 1, writes: 0.2, untold: 0.3, scattered: 0.5},
	{slow: 200 * time.Millisecond, unheard: 0.1, writes: 0.1, holds: 0.1, untold: 0.2, scattered: 0.3},
}

func newMachine(t testing.TB, seed uint64) *machine {
	m := &machine{
		t: t, rnd: rand.New(rand.NewPCG(seed, 1)), keys: map[string]*subject{}, guards: map[string]*subject{},
		mild: seed%4 == 0, temper: moods[0],
	}
	expire := time.Duration(20+m.rnd.IntN(100)) * time.Second
	for i := range 8 + m.rnd.IntN(32) {
		s := &subject{name: fmt.Sprintf("k:%d", i)}
		if m.rnd.IntN(4) > 0 {
			s.put("string", time.Now().Add(expire*time.Duration(500+m.rnd.IntN(600))/1000))
		}
		m.names = append(m.names, s.name)
		m.keys[s.name], m.guards[guard.Name(s.name)] = s, s
	}
	k := shape{
		expire: expire, staleAge: expire * time.Duration(45+m.rnd.IntN(40)) / 100,
		guardTimeout: time.Duration(1+m.rnd.IntN(5)) * time.Second, concurrent: 2 + m.rnd.IntN(4),
		deletes: m.rnd.IntN(2) == 0, fillMissed: m.rnd.IntN(2) == 0, batch: 1,
	}
	if m.rnd.IntN(3) == 0 {
		k.keys = m.names
	}
	if m.rnd.IntN(3) == 0 {
		k.batch = 2 + m.rnd.IntN(7)
	}
	if m.rnd.IntN(3) == 0 {
		k.perSecond = 15 + m.rnd.IntN(20)
	}
	m.redis = newMachineRedis(t, m)
	opts := options()
	opts.Owns = func(key string) bool { other := m.foreign.Load(); return other == nil || key != *other }
	opts.Standby = m.standby.Load
	set := m.compile(k)
	m.kind = k
	m.w = New(opts, m.assignment(set, ""))
	m.w.start = m.begins
	m.limit(set)
	return m
}

// shape is what a machine's keyspace is like.
type shape struct {
	expire, staleAge, guardTimeout time.Duration
	concurrent, perSecond, batch   int
	deletes, fillMissed            bool
	keys                           []string
}

func (m *machine) compile(k shape) *Settings {
	timing := pacing.NewTiming(k.expire, k.staleAge, k.guardTimeout)
	m.longest.StaleAge = max(m.longest.StaleAge, timing.StaleAge)
	m.longest.Expire = max(m.longest.Expire, timing.Expire)
	m.longest.Grace = max(m.longest.Grace, timing.Grace)
	m.shape = k
	return &Settings{
		Name: "keys", Template: parsed("k:{id}"), Keys: k.keys, FillMissed: k.fillMissed,
		Rebuild: rebuild.Settings{
			Timing: timing, GuardTimeout: k.guardTimeout, Kept: k.keys != nil, DeleteNotFound: k.deletes, MaxNotFound: 30,
			Limits: pacing.Limits{MaxConcurrent: k.concurrent, MaxPerSecond: k.perSecond, BatchSize: k.batch}, Source: machineLoader{m, k.batch},
		},
	}
}

func (m *machine) assignment(set *Settings, token string) *Assignment {
	return &Assignment{Settings: set, Store: m.redis, Demand: token}
}

// play has the machine live: bad times and, after each, a good one, in which all has
// to come right by the schedule alone.
func (m *machine) play(rounds int) {
	done := make(chan struct{})
	go func() { m.w.Run(); close(done) }()
	defer func() {
		m.w.Stop()
		<-done
		m.redis.close()
	}()
	m.list()
	for range rounds {
		for range 1 + m.pick(3) {
			mood := moods[m.pick(len(moods))]
			if m.mild {
				mood = moods[0]
				mood.writes, mood.interferes = 0.1, 0.02
			}
			m.feel(mood)
			m.live(2 * time.Minute)
		}
		m.mend()
	}
}

func (m *machine) live(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end) && m.why.Load() == nil; {
		time.Sleep(time.Duration(m.pick(int(time.Second))))
		m.act()
		m.wait(m.check)
	}
}

// mend has all end well, and looks whether it did.
func (m *machine) mend() {
	m.feel(mood{slow: 20 * time.Millisecond, untold: 1})
	m.outage(false)
	m.standby.Store(false)
	m.own(nil)
	m.sweeps = nil
	m.list()
	t := m.longest
	for end := time.Now().Add(2*t.StaleAge + t.Expire + pacing.MaxBackoff); time.Now().Before(end) && m.why.Load() == nil; {
		time.Sleep(5 * time.Second)
		m.wait(m.check)
	}
	m.wait(m.good)
}

// Whatever happens to a worker's keys, none is lost, none is loaded twice within its
// interval nor twice at once, and what expires first goes first.
func TestAWorkerKeepsItsRulesWhateverHappens(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { runMachine(t, seed, 2) })
	}
}

func FuzzWorker(f *testing.F) {
	f.Add(uint64(1), uint8(2))
	f.Fuzz(func(t *testing.T, seed uint64, rounds uint8) { runMachine(t, seed, 1+int(rounds%8)) })
}

func runMachine(t *testing.T, seed uint64, rounds int) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, seed)
		m.play(rounds)
		if why := m.why.Load(); why != nil {
			t.Errorf("seed %d: %s", seed, *why)
		} else if m.loads == 0 {
			t.Errorf("seed %d: nothing was loaded", seed)
		}
	})
}

// failed says which rule was broken, the first time.
func (m *machine) failed(format string, args ...any) {
	why := time.Now().Format("15:04:05.000: ") + fmt.Sprintf(format, args...)
	m.why.CompareAndSwap(nil, &why)
}

func (m *machine) feel(now mood) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.temper = now
}

func (m *machine) mood() mood {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.temper
}

func (m *machine) pick(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rnd.IntN(n)
}

func (m *machine) chance(share float64) bool {
	return float64(m.pick(1<<20)) < share*(1<<20)
}

func (m *machine) latency() time.Duration { return time.Duration(m.pick(int(2 * time.Millisecond))) }

func (m *machine) isDown() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down
}
