// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// The rules of a lane, each at the moment at which it could be broken.

// maxLooks is how often a key may be looked at within a second: more is a loop.
const maxLooks = 40

// limits are those on calls to the loader.
type limits struct {
	concurrent, before int // until before's loads have ended
	until              time.Time
	interval           time.Duration
	rate               float64 // of calls begun since
	since              time.Time
	calls              int
}

// begins sees rebuilds begin, in the lane's goroutine: what expires first goes
// first, and no more than there is room for.
func (m *machine) begins(r *rebuilder, jobs []job) {
	l, now := m.l, time.Now()
	var last time.Time
	for _, j := range jobs {
		at := l.keys.Expiry(j.id)
		if at.Before(last.Add(-schedule.Tick)) {
			m.failed("%s is begun, which expires %s before one that was begun earlier", j.key, last.Sub(at))
		}
		last = at
	}
	for id := range l.keys.All() {
		if at := l.keys.Expiry(id); l.keys.Queued(id, now) && at.Before(last.Add(-schedule.Tick)) {
			m.failed("%s has to wait, though it expires %s before one that is begun", l.keys.Name(id), last.Sub(at))
		}
	}
	if most := l.room(); l.inFlight > most {
		m.failed("%d keys are under way, with room for %d", l.inFlight, most)
	}
	m.mu.Lock()
	for _, j := range jobs {
		s := m.keys[j.key]
		s.job, s.least = j, m.limits.interval
		if s.second != now.Unix() {
			s.second, s.looks = now.Unix(), 0
		}
		if s.looks++; s.looks > maxLooks {
			m.failed("%s is looked at again and again", j.key)
		}
	}
	m.mu.Unlock()
	go r.run(jobs)
}

// looked sees a rebuild ask for a guard.
func (m *machine) looked(s *subject, free bool, now time.Time) {
	if free {
		s.calls, s.fill = 0, s.version(m, now) == guard.Missing
	}
}

// called sees a call to the loader begin: for no key that is being loaded, nor
// within its interval, and within the limits.
func (m *machine) called(keys []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.loads++
	m.running++
	a := &m.limits
	if most := a.concurrent; m.running > most && (m.running > a.before || now.After(a.until)) {
		m.failed("%d calls run at once, with %d allowed", m.running, most)
	}
	if a.calls++; a.rate > 0 && float64(a.calls) > a.rate*(now.Sub(a.since).Seconds()+0.1)+1 {
		m.failed("%d calls within %s, with %.0f per second allowed", a.calls, now.Sub(a.since), a.rate)
	}
	for _, key := range keys {
		s := m.keys[key]
		if s.loading++; s.loading > 1 {
			m.failed("%s is loaded twice at once", key)
		}
		if s.calls++; s.calls > 1 {
			continue // a part of a batch that failed
		}
		if token := s.job.token; token != "" && token == s.served && token != m.early {
			m.failed("%s is loaded again for %q", key, token)
		} else if token == "" && !s.fill && !s.failed && now.Before(s.rests) {
			m.failed("%s is loaded %s before its interval is over", key, s.rests.Sub(now))
		}
	}
}

// answered sees a call end.
func (m *machine) answered(values map[string]bool, keys []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running--
	for _, key := range keys {
		s := m.keys[key]
		s.loading--
		s.ended = time.Now()
		if _, ok := values[key]; !ok {
			s.failed = true
		}
	}
}

// settled sees what becomes of a load.
func (m *machine) settled(s *subject, did guard.Outcome, version int64) {
	if s.failed = did == guard.Lost; s.failed || s.kind == "" {
		return
	}
	s.rests = s.ended.Add(min(s.least, m.limits.interval))
	if did == guard.Committed {
		s.served = s.job.token
		if other := m.foreign.Load(); other == nil || *other != s.name {
			s.told = version
		}
	}
}

// unheard sees an answer get lost. The lane cannot know what was done.
func (m *machine) unheard(s *subject) { s.failed, s.served, s.told = true, "", 0 }

// expired sees a key's lifetime end.
func (m *machine) expired(s *subject, now time.Time) {
	if m.mild && s.told != 0 {
		m.failed("%s expires, which the lane was told of, at %s", s.name, now)
	}
}

// found tells the lane of keys: it takes in all that is not older than what it
// knows.
func (m *machine) found(found []discover.Found, versions map[string]int64, pass uint64) {
	l := m.l
	old := map[string]bool{}
	for _, f := range found {
		id := l.keys.Find(f.Key)
		old[f.Key] = !l.eng.opts.Owns(f.Key) || id != 0 && (l.keys.Has(id, busy) || !f.At.After(l.loaded(id)))
	}
	l.found(found, pass)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range found {
		id := l.keys.Find(f.Key)
		switch {
		case old[f.Key]:
		case f.TTL == discover.Missing && !l.set.kept():
			if id != 0 {
				m.failed("%s is kept, which is not there", f.Key)
			}
		case id == 0 && f.TTL != discover.NoExpiry:
			m.failed("%s was found, and is not held", f.Key)
		case pass != 0 && pass != l.pass: // the later listing counts
		case f.TTL >= 0 && l.keys.Marks(id)&(missing|ignored) == 0:
			m.keys[f.Key].told = versions[f.Key]
		}
	}
}

// update puts settings and a token into effect.
func (m *machine) update(set *settings, token string) {
	m.wait(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		retimed := set.timing != m.l.set.timing
		changed := set != m.l.set
		if m.l.account.pass == 0 {
			m.early = token
		}
		m.l.update(set, m.srv, token)
		if changed {
			m.limit(set)
		}
		if retimed {
			for _, s := range m.keys {
				s.rests = time.Time{}
			}
		}
	})
}

func (m *machine) limit(set *settings) {
	now := time.Now()
	m.limits = limits{
		concurrent: set.MaxConcurrent, before: max(m.limits.concurrent, set.MaxConcurrent), until: now.Add(maxHold),
		interval: set.timing.interval(), rate: float64(set.MaxPerSecond), since: now, calls: -m.l.inFlight,
	}
	if set.loader.BatchSize() > 1 {
		m.limits.calls -= set.MaxConcurrent // parts of batches take theirs when they can
	}
	if m.l.limiter.Limit() == rate.Inf {
		m.limits.rate = 0
	}
}

// maxHold is longer than any guard timeout.
const maxHold = 10 * time.Second

// check looks at all of the lane's state, in its goroutine.
func (m *machine) check() {
	l, now := m.l, time.Now()
	running, wanting := 0, 0
	for id := range l.keys.All() {
		if l.keys.Has(id, busy) {
			running++
		}
		if l.keys.Has(id, forced) {
			wanting++
		}
		if l.keys.Has(id, busy) != l.keys.Resting(id) {
			m.failed("%s: busy %v, and in no queue %v", l.keys.Name(id), l.keys.Has(id, busy), l.keys.Resting(id))
		}
		if at, waits := l.keys.Until(id); waits {
			if latest, why := m.latest(id, now); at.After(latest.Add(2 * schedule.Tick)) {
				m.failed("%s waits for %s, for %s too long: %s", l.keys.Name(id), at.Sub(now), at.Sub(latest), why)
			}
		}
	}
	if running != l.inFlight {
		m.failed("%d keys are busy, and %d under way", running, l.inFlight)
	}
	if l.force.running && wanting != l.force.left {
		m.failed("%d keys are to be refreshed on demand, it says %d", wanting, l.force.left)
	}
	failing := 0
	for key, x := range l.odd {
		if x.failures > 0 {
			failing++
		}
		if l.keys.Find(key) == 0 {
			m.failed("%s is an exception, and not held", key)
		}
	}
	if failing != l.failing {
		m.failed("%d keys fail, it says %d", failing, l.failing)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.keys {
		if version := s.version(m, now); s.told != 0 && s.told == version {
			m.known(s)
		}
	}
}

// known checks that the lane knows what it was told, or wrote.
func (m *machine) known(s *subject) {
	id := m.l.keys.Find(s.name)
	switch {
	case id == 0:
		m.failed("%s was lost", s.name)
	case m.l.keys.Has(id, busy), s.kind != "string":
	case m.l.keys.Marks(id)&(missing|ignored) != 0 || m.l.keys.Expiry(id).Sub(s.expiry).Abs() > 2*tolerance:
		m.failed("%s expires at %s, the lane was told, and believes %s, marks %x", s.name, s.expiry, m.l.keys.Expiry(id), m.l.keys.Marks(id))
	}
}

// latest is when a key that waits has to be looked at.
func (m *machine) latest(id schedule.ID, now time.Time) (at time.Time, why string) {
	l, t := m.l, m.longest
	backoff, held := now.Add(t.backoff(99, 0)), now.Add(t.whileHeld(l.eng.opts.Lease, 1))
	stale := l.keys.Expiry(id).Add(l.set.timing.staleAge - l.set.timing.expire)
	marks := l.keys.Marks(id)
	switch {
	case l.failures(l.keys.Name(id)) > 0:
		return backoff, "it fails"
	case marks&missing != 0:
		return backoff, "it is missing"
	case marks&(forced|ignored) == forced:
		return held, "it is to be refreshed on demand"
	case marks&ignored != 0:
		return now.Add(max(t.staleAge, time.Second)), "it is ignored"
	}
	stale = stale.Add(tolerance) // what is read of a TTL again and again may vary by so much
	rests := l.rests(id)
	if most := now.Add(t.interval()); rests.After(most.Add(schedule.Tick)) {
		m.failed("%s rests for %s", l.keys.Name(id), rests.Sub(now))
	}
	for _, other := range []time.Time{held, rests} {
		if stale.Before(other) {
			stale = other
		}
	}
	return stale, "it is stale"
}

// good says that all is well: every key is fresh, and nothing is left over.
func (m *machine) good() {
	l, now := m.l, time.Now()
	m.check()
	if l.failing > 0 || l.force.running || l.force.handled != l.force.token {
		m.failed("in good times, %d keys fail, and %d are to be refreshed on demand", l.failing, l.force.left)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	slack := 2 * time.Second
	if r := m.limits.rate; r > 0 {
		slack += time.Duration(float64(len(m.names)) / r * float64(time.Second))
	}
	for _, s := range m.keys {
		version := s.version(m, now)
		held := l.keys.Find(s.name) != 0
		switch {
		case version == guard.Missing && l.set.kept():
			m.failed("in good times, %s is missing", s.name)
		case version == guard.Missing && held && now.Sub(s.gone) > 2*m.longest.staleAge:
			m.failed("%s is held, and was gone %s ago", s.name, now.Sub(s.gone))
		case version >= 0 && s.kind == "string":
			if late := -l.set.timing.untilStale(s.expiry.Sub(now)); !held || late > slack {
				m.failed("in good times, %s has been stale for %s; it is held: %v", s.name, late, held)
			}
		}
	}
}
