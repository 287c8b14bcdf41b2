// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspaceworker/tracker"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

// The rules of a worker, each at the moment at which it could be broken.

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

// begins sees rebuilds begin, in the worker's goroutine: what expires first goes
// first, and no more than there is room for.
func (m *machine) begins(b *rebuild.Batch) {
	tr, now := m.w.tracker, time.Now()
	var last time.Time
	for _, j := range b.Jobs {
		at := tr.Expiry(schedule.ID(j.Tag))
		if at.Before(last.Add(-schedule.Tick)) {
			m.failed("%s is begun, which expires %s before one that was begun earlier", j.Key, last.Sub(at))
		}
		last = at
	}
	for id := range tr.All() {
		if at := tr.Expiry(id); tr.Queued(id, now) && at.Before(last.Add(-schedule.Tick)) {
			m.failed("%s has to wait, though it expires %s before one that is begun", tr.Name(id), last.Sub(at))
		}
	}
	if most := m.w.maxInFlight(); m.w.inFlight > most {
		m.failed("%d keys are under way, with room for %d", m.w.inFlight, most)
	}
	m.mu.Lock()
	for _, j := range b.Jobs {
		s := m.keys[j.Key]
		s.job, s.least = j, m.limits.interval
		if s.second != now.Unix() {
			s.second, s.looks = now.Unix(), 0
		}
		if s.looks++; s.looks > maxLooks {
			m.failed("%s is looked at again and again", j.Key)
		}
	}
	m.mu.Unlock()
	go b.Run()
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
		if token := s.job.Token; token != "" && token == s.served && token != m.early {
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
		s.served = s.job.Token
		if other := m.foreign.Load(); other == nil || *other != s.name {
			s.told = version
		}
	}
}

// unheard sees an answer get lost. The worker cannot know what was done.
func (m *machine) unheard(s *subject) { s.failed, s.served, s.told = true, "", 0 }

// expired sees a key's lifetime end.
func (m *machine) expired(s *subject, now time.Time) {
	if m.mild && s.told != 0 {
		m.failed("%s expires, which the worker was told of, at %s", s.name, now)
	}
}

// found tells the worker of keys: it takes in all that is not older than what it
// knows.
func (m *machine) found(found []discover.Found, versions map[string]int64, pass uint64) {
	w, tr := m.w, m.w.tracker
	old := map[string]bool{}
	for _, f := range found {
		known := tr.Known(f.Key, f.At)
		old[f.Key] = !w.opts.Owns(f.Key) || known.Tracked && (known.Busy || !f.At.After(known.LoadedAt))
	}
	tr.Found(found, pass)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range found {
		id := tr.Find(f.Key)
		switch {
		case old[f.Key]:
		case f.TTL == discover.Missing && !w.current.Rebuild.Kept:
			if id != 0 {
				m.failed("%s is kept, which is not there", f.Key)
			}
		case id == 0 && f.TTL != discover.NoExpiry:
			m.failed("%s was found, and is not held", f.Key)
		case pass != 0 && pass != m.pass: // the later listing counts
		case f.TTL >= 0 && tr.Marks(id)&(tracker.Missing|tracker.Ignored) == 0:
			m.keys[f.Key].told = versions[f.Key]
		}
	}
}

// update puts settings and a token into effect.
func (m *machine) update(set *Settings, token string) {
	m.token = token
	m.wait(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		was := m.w.current.Settings
		if !m.w.account.listed {
			m.early = token
		}
		m.w.update(m.assignment(set, token), time.Now())
		if set != was {
			m.limit(set)
		}
		if set.Rebuild.Timing != was.Rebuild.Timing {
			for _, s := range m.keys {
				s.rests = time.Time{}
			}
		}
	})
}

func (m *machine) limit(set *Settings) {
	now, of := time.Now(), set.Rebuild.Limits
	m.limits = limits{
		concurrent: of.MaxConcurrent, before: max(m.limits.concurrent, of.MaxConcurrent), until: now.Add(maxHold),
		interval: set.Rebuild.Timing.ReloadInterval(), rate: float64(of.MaxPerSecond), since: now, calls: -m.w.inFlight,
	}
	if of.BatchSize > 1 {
		m.limits.calls -= of.MaxConcurrent // parts of batches take theirs when they can
	}
}

// maxHold is longer than any guard timeout.
const maxHold = 10 * time.Second

// check looks at all of the worker's state, in its goroutine.
func (m *machine) check() {
	w, tr, now := m.w, m.w.tracker, time.Now()
	running, wanting, failing := 0, 0, 0
	for id := range tr.All() {
		busy := tr.Has(id, tracker.Busy)
		if busy {
			running++
		}
		if tr.Has(id, tracker.Demanded) {
			wanting++
		}
		if tr.Failures(tr.Name(id)) > 0 {
			failing++
		}
		if busy != tr.Unqueued(id) {
			m.failed("%s: busy %v, and in no queue %v", tr.Name(id), busy, tr.Unqueued(id))
		}
		if at, waits := tr.Until(id); waits {
			if latest, why := m.latest(id, now); at.After(latest.Add(2 * schedule.Tick)) {
				m.failed("%s waits for %s, for %s too long: %s", tr.Name(id), at.Sub(now), at.Sub(latest), why)
			}
		}
	}
	if running != w.inFlight {
		m.failed("%d keys are busy, and %d under way", running, w.inFlight)
	}
	if token, handled := tr.Demanded(); w.account.listed && (token != handled) != (wanting > 0) {
		m.failed("%d keys are to be refreshed on demand, for %q after %q", wanting, token, handled)
	}
	if failing != tr.Failing() {
		m.failed("%d keys fail, it says %d", failing, tr.Failing())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.keys {
		if version := s.version(m, now); s.told != 0 && s.told == version {
			m.known(s)
		}
	}
}

// known checks that the worker knows what it was told, or wrote.
func (m *machine) known(s *subject) {
	tr := m.w.tracker
	id := tr.Find(s.name)
	switch {
	case id == 0:
		m.failed("%s was lost", s.name)
	case tr.Has(id, tracker.Busy), s.kind != "string":
	case tr.Marks(id)&(tracker.Missing|tracker.Ignored) != 0 || tr.Expiry(id).Sub(s.expiry).Abs() > 2*tolerance:
		m.failed("%s expires at %s, the worker was told, and believes %s, marks %x", s.name, s.expiry, tr.Expiry(id), tr.Marks(id))
	}
}

// tolerance is how far two readings of one expiry may lie apart.
const tolerance = 100 * time.Millisecond

// latest is when a key that waits has to be looked at.
func (m *machine) latest(id schedule.ID, now time.Time) (at time.Time, why string) {
	tr, t, timing := m.w.tracker, m.longest, m.w.current.Rebuild.Timing
	backoff, held := now.Add(t.Backoff(99, 0)), now.Add(t.WhileHeld(guard.DefaultLease, 1))
	stale := tr.Expiry(id).Add(timing.StaleAge - timing.Expire)
	marks := tr.Marks(id)
	switch {
	case tr.Failures(tr.Name(id)) > 0:
		return backoff, "it fails"
	case marks&tracker.Missing != 0:
		return backoff, "it is missing"
	case marks&(tracker.Demanded|tracker.Ignored) == tracker.Demanded:
		return held, "it is to be refreshed on demand"
	case marks&tracker.Ignored != 0:
		return now.Add(max(t.StaleAge, time.Second)), "it is ignored"
	}
	stale = stale.Add(tolerance) // what is read of a TTL again and again may vary by so much
	notBefore := tr.NotBefore(id)
	if most := now.Add(t.ReloadInterval()); notBefore.After(most.Add(schedule.Tick)) {
		m.failed("%s is not loaded for %s", tr.Name(id), notBefore.Sub(now))
	}
	for _, other := range []time.Time{held, notBefore} {
		if stale.Before(other) {
			stale = other
		}
	}
	return stale, "it is stale"
}

// good says that all is well: every key is fresh, and nothing is left over.
func (m *machine) good() {
	w, tr, now := m.w, m.w.tracker, time.Now()
	m.check()
	if token, handled := tr.Demanded(); tr.Failing() > 0 || token != handled {
		m.failed("in good times, %d keys fail, and %q is to be refreshed on demand after %q", tr.Failing(), token, handled)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	slack := 2 * time.Second
	if r := m.limits.rate; r > 0 {
		slack += time.Duration(float64(len(m.names)) / r * float64(time.Second))
	}
	for _, s := range m.keys {
		version := s.version(m, now)
		held := tr.Find(s.name) != 0
		switch {
		case version == guard.Missing && w.current.Rebuild.Kept:
			m.failed("in good times, %s is missing", s.name)
		case version == guard.Missing && held && now.Sub(s.gone) > 2*m.longest.StaleAge:
			m.failed("%s is held, and was gone %s ago", s.name, now.Sub(s.gone))
		case version >= 0 && s.kind == "string":
			if late := -w.current.Rebuild.Timing.UntilStale(s.expiry.Sub(now)); !held || late > slack {
				m.failed("in good times, %s has been stale for %s; it is held: %v", s.name, late, held)
			}
		}
	}
}
