// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/schedule"
)

const (
	sampleSize     = 100
	sampleInterval = 10 * time.Second
	minMeasure     = time.Second
	maxMeasure     = 10 * time.Second
	quietMeasure   = 30 * time.Second
	// maxSample bounds the keys of all lanes of a server that are sampled at a
	// time: what it takes of the operator and of Redis must not grow with them.
	maxSample = 2000
)

// view is what a lane shows to others. It is never changed, only replaced.
type view struct {
	KeyspaceSnapshot
	headline
	at  time.Time
	set *settings
}

// headline is what a condition tells of a lane, but for the lateness of keys,
// which is known only when they are counted.
type headline struct {
	listed, settled bool
	limited         bool // keys are left out, or loads wait, for the namespace's limits
	loaders         LoadersState
	refreshed       string // the token of the last refresh on demand that is done
}

func (l *lane) headline(now time.Time) headline {
	return headline{l.account.pass != 0, l.account.settled, l.account.noRoom > 0 || l.queues(now), l.loadersState(), l.force.handled}
}

// queues says that a load had to wait, a short while ago, for those of other keyspaces.
func (l *lane) queues(now time.Time) bool {
	return now.Sub(time.Unix(0, l.slots.waited.Load())) < limitedFor
}

// limitedFor is how long it is told that a limit was reached.
const limitedFor = time.Minute

// account is what a lane remembers in order to report.
type account struct {
	loads       Loads
	achieved    pace
	lastRefresh time.Time
	lastFailure *Failure

	measured time.Time
	quiet    bool // nothing happened since, and nothing was wrong then
	sampling bool
	sample   counts // surprises in the last sample
	losses   losses
	vanished int64 // keys whose end before its time was heard of since that sample

	pass                 uint64    // the last listing that ended
	run                  string    // of the Redis that it read
	begun                time.Time // when the first listing ended
	settled              bool      // what was due then has been tried
	noExpiry, noExpiring int64     // keys without expiry: in the last listing, in the present one
	noRoom, noRoomNow    int64     // keys beyond the namespace's limit: likewise
}

type counts struct {
	keys, fresh, stale, missing, late, ignored int64

	queued  int64         // due, but not begun
	nearest time.Duration // the life left to the key that expires first
	there   bool          // there is one

	vanished int64 // not there, and need not be
	held     int64 // missing, as filling them would only have others evicted
}

func (a *account) untracked(pass uint64) {
	if pass != 0 {
		a.noExpiring++
	}
}

// refused counts a key for which there is no room.
func (a *account) refused(pass uint64) {
	if pass != 0 {
		a.noRoomNow++
	}
}

func (a *account) listed(pass uint64, run string, now time.Time) {
	if a.pass == 0 {
		a.begun = now
	}
	a.pass, a.run = pass, run
	a.noExpiry, a.noExpiring = a.noExpiring, 0
	a.noRoom, a.noRoomNow = a.noRoomNow, 0
	a.measured = time.Time{}
}

// measure counts the keys if it is time to, and says when to measure next.
func (l *lane) measure(now time.Time) time.Duration {
	interval := min(max(l.set.timing.staleAge/10, minMeasure), maxMeasure)
	if l.account.quiet {
		interval = quietMeasure
	}
	if wait := l.account.measured.Add(interval).Sub(now); wait > 0 {
		return wait
	}
	l.account.measured = now
	l.publish()
	return interval
}

// check compares a random sample of keys with Redis, beside the loop.
func (l *lane) check() {
	if l.account.pass == 0 || l.account.sampling {
		return
	}
	keys := l.pick(sampleSize)
	if len(keys) == 0 {
		return
	}
	l.account.sampling = true
	srv, t := l.srv, l.set.timing
	srv.users.Add(1)
	go func() {
		var said []discover.Found
		err := discover.Inspect(l.ctx, srv.rdb, keys, func(found []discover.Found) error {
			said = append(said, found...)
			return nil
		})
		if err != nil && l.ctx.Err() == nil {
			srv.suspect(err)
		}
		read, unread := srv.readers(l.ctx, t.nearlyDue(said), t.expire)
		srv.users.Done()
		l.do(func() {
			l.account.sampling = false
			l.metrics.sampled(read, unread)
			l.account.sample = l.surprises(said)
			l.lost(l.account.sample, time.Now())
			l.found(said, 0)
		})
	}()
}

// pick returns up to n different keys, each as likely as any other.
// Source: Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", 1987).
func (l *lane) pick(n int) []string {
	all := l.keys.Len()
	chosen := make(map[int]bool, n)
	keys := make([]string, 0, n)
	for j := max(0, all-n); j < all; j++ {
		i := rand.IntN(j + 1)
		if chosen[i] {
			i = j
		}
		chosen[i] = true
		keys = append(keys, l.keys.Name(schedule.ID(i+1)))
	}
	return keys
}

// surprises counts in a sample the keys that Redis has otherwise than the lane
// believed: it thought them fresh. What it knows to be stale or missing is
// counted without a sample.
func (l *lane) surprises(said []discover.Found) (c counts) {
	for _, f := range said {
		id := l.keys.Find(f.Key)
		if id == 0 || l.keys.Marks(id)&(busy|ignored) != 0 || !f.At.After(l.loaded(id)) {
			continue
		}
		c.keys++
		believed := !l.keys.Has(id, missing) && l.set.timing.untilStale(l.keys.Expiry(id).Sub(f.At)) > 0
		switch {
		case f.TTL == discover.Missing:
			l.miss(&c, believed)
		case believed && f.TTL != discover.NoExpiry && l.set.timing.untilStale(f.TTL) < 0:
			c.stale++
		}
	}
	return c
}

// miss counts a key of a sample that is not there, and was believed to be fresh or not.
func (l *lane) miss(c *counts, believed bool) {
	switch {
	case !believed && l.refills.pause > 0:
		c.held++
	case !believed:
	case l.set.kept():
		c.missing++
	default:
		c.vanished++
	}
}

// count counts all keys by what is known of them.
func (l *lane) count(now time.Time) (c counts, soon upcoming, oldest time.Time) {
	t := l.set.timing
	first := time.Duration(math.MaxInt64)
	for id := range l.keys.All() {
		marks := l.keys.Marks(id)
		if marks&ignored != 0 {
			c.ignored++
			continue
		}
		c.keys++
		if l.keys.Queued(id, now) {
			c.queued++
		}
		left := l.keys.Left(id, now)
		overdue := -t.untilStale(left)
		soon.add(-overdue, t.staleAge)
		switch {
		case marks&missing != 0:
			overdue = -left
			c.missing++
		case left <= 0:
			c.missing++
		case overdue <= 0:
			c.fresh++
		default:
			c.stale++
		}
		if marks&missing == 0 {
			if !c.there || left < c.nearest {
				c.nearest, c.there = left, true
			}
			if left > 0 {
				first = min(first, left)
			}
		}
		if overdue > t.grace {
			c.late++
		}
	}
	if first < math.MaxInt64 {
		oldest = now.Add(first - t.expire)
	}
	c.ignored += l.account.noExpiry
	return c, soon, oldest
}

// corrected adds to a count what a sample says of the keys outside of it. A
// sample of all keys has already corrected what is known of them.
func (c counts) corrected(sample counts) counts {
	if sample.keys == 0 || c.keys <= sample.keys {
		return c
	}
	scale := float64(c.keys) / float64(sample.keys)
	share := func(n int64) int64 { return min(c.fresh, int64(math.Round(float64(n)*scale))) }
	missing := share(sample.missing)
	c.fresh, c.missing = c.fresh-missing, c.missing+missing
	stale := share(sample.stale)
	c.fresh, c.stale = c.fresh-stale, c.stale+stale
	return c
}

// report publishes at once what changes a condition; numbers have time.
func (l *lane) report(now time.Time) {
	l.settle(now)
	if l.headline(now) != l.view.Load().headline {
		l.account.measured = now
		l.publish()
	}
}

// startOver forgets that Redis was listed, if that was another run of it: what
// this one holds has to be seen anew.
func (l *lane) startOver(run string) {
	if l.account.run != run {
		l.account.pass, l.account.settled = 0, false
		l.account.losses, l.refills = losses{}, refills{}
		l.report(time.Now())
	}
}

// settle notes the end of the beginning: every key that was due at the first
// listing has been tried, or that takes longer than a rebuild should.
func (l *lane) settle(now time.Time) {
	a := &l.account
	if a.settled || a.pass == 0 {
		return
	}
	next, waits := l.keys.Next(now)
	worked := l.keys.Due() == 0 && l.inFlight == 0 && (!waits || next.Sub(now) > schedule.Tick)
	a.settled = worked || now.Sub(a.begun) > l.set.timing.grace
}

// publish shows how the lane stands, and calls for attention if that changes a
// condition.
func (l *lane) publish() {
	now := time.Now()
	l.settle(now)
	l.brake.expire(l.set.Expire, now)
	c, soon, oldest := l.count(now)
	l.account.quiet = l.account.settled && l.account.losses.constant() == 0 && c.fresh == c.keys && l.inFlight == 0 && l.failing == 0
	c = c.corrected(l.account.sample)
	l.anticipate(soon, now)
	l.account.achieved.update(l.account.loads.Succeeded, now)
	h := l.headline(now)
	v := &view{headline: h, at: now, set: l.set, KeyspaceSnapshot: KeyspaceSnapshot{
		Name: l.name, Listed: h.listed, Settled: h.settled, LoadersState: h.loaders,
		Keys: c.keys, Fresh: c.fresh, Stale: c.stale, Missing: c.missing, Late: c.late, Ignored: c.ignored,
		Loads: l.account.loads, LastRefresh: l.account.lastRefresh, OldestLoad: oldest,
		LastFailure: l.account.lastFailure,
		Required:    float64(c.keys) / l.set.timing.staleAge.Seconds(), Achieved: l.account.achieved.perSecond(),
		Slowest: l.lead.rebuilds.most, Fits: l.set.timing.fits(),
		PausedUntil: l.breaker.asked, Losing: l.account.losses.constant(),
		Untracked: l.account.noRoom, Queues: l.queues(now),
	}}
	v.NotFound, v.Answers = l.brake.counts()
	v.TooSlow = TooLate(v.Late, v.Keys) && c.queued > 0 && v.LoadersState == Succeeding &&
		v.Achieved < v.Required && l.lead.capacity(l.set) < v.Required
	l.metrics.show(v.KeyspaceSnapshot, l.set.timing, c, l.lead.ahead(), l.breaker.over(l) > 0)
	l.metrics.brake.Set(one(l.brake.holds()))
	l.metrics.reach(l.srv.status())
	l.metrics.evicts(l.srv.remembers())
	before := l.view.Swap(v)
	if before == nil || before.headline != h || TooLate(before.Late, before.Keys) != TooLate(v.Late, v.Keys) || before.TooSlow != v.TooSlow || (before.Losing > 0) != (v.Losing > 0) {
		l.eng.opts.OnChange(l.id)
	}
}

func (l *lane) loadersState() LoadersState {
	switch {
	case l.breaker.asked.After(time.Now()):
		return Paused
	case l.breaker.down(l) && l.breaker.loads >= minBreaker:
		if f := l.account.lastFailure; f != nil && f.Reason == string(loader.EgressDenied) {
			return Denied
		}
		return Failing
	case l.brake.holds():
		return ManyNotFound
	case l.account.loads.Succeeded > 0:
		return Succeeding
	}
	return NoLoads
}
