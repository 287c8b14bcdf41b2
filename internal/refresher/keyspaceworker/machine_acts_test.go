// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspaceworker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
	"github.com/keepfresh/keepfresh/internal/refresher/wake"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// What others do to a machine.

// sweep is a listing under way. It goes by the keys' places in the order of
// names, as SCAN goes by their hashes.
type sweep struct {
	pass uint64
	next int
}

// act has something happen.
func (m *machine) act() {
	mood := m.mood()
	switch {
	case m.chance(mood.writes):
		m.write()
		return
	case m.chance(mood.holds):
		m.hold()
		return
	}
	switch n := m.pick(100); {
	case n < 8:
		m.begin()
	case n < 60:
		m.advance()
	case n < 66:
		m.hear(m.any(), watch.Missed)
	case n < 70: // the sample
		m.tell(0, m.any().name)
	case n < 72:
		m.tokens++
		m.update(m.w.current.Settings, fmt.Sprint("token ", m.tokens))
	case n < 74:
		m.wait(func() { now := time.Now(); m.w.measure(now); m.w.publish(now) })
	case m.mild:
	case n < 76:
		m.change()
	case n < 78:
		m.outage(!m.isDown())
	case n < 80:
		m.standby.Store(!m.standby.Load())
	case n < 82:
		m.own(&m.any().name)
	case n < 84:
		m.feel(moods[m.pick(len(moods))])
	}
}

func (m *machine) any() *subject { return m.keys[m.names[m.pick(len(m.names))]] }

// write is the application's: any write that it can do.
func (m *machine) write() {
	s, kind, expire := m.any(), "string", m.shape.expire
	roll, part, scattered := m.pick(20), time.Duration(m.pick(1500)), m.chance(m.mood().scattered)
	m.mu.Lock()
	now := time.Now()
	was := s.version(m, now)
	expiry := now.Add(expire)
	if scattered {
		expiry = now.Add(expire * part / 1000)
	}
	switch {
	case m.mild: // always a lifetime that can be kept
	case roll < 3:
		kind, expiry = "", time.Time{}
	case roll < 4:
		kind = "hash"
	case roll < 5:
		expiry = time.Time{}
	}
	s.put(kind, expiry)
	m.mu.Unlock()
	if m.chance(m.mood().untold) {
		return
	}
	switch {
	case kind == "" && was != guard.Missing:
		m.hear(s, watch.Gone)
	case m.mild || kind != "" && was == guard.Missing:
		m.hear(s, watch.Created)
	}
}

// hold has another engine take a key's guard; and, as likely as not, rebuild it.
func (m *machine) hold() {
	s, length, writes := m.any(), time.Duration(m.pick(2000))*time.Millisecond, m.pick(2) == 0
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if !now.Before(s.until) {
		s.token, s.until = "another's", now.Add(length)
	}
	if v := s.version(m, now); writes && v != guard.Missing && v != guard.NoExpiry && s.kind == "string" {
		s.put("string", now.Add(m.kind.expire))
	}
}

// hear tells the worker of an event, as a store does.
func (m *machine) hear(s *subject, kind watch.Kind) {
	var ask []string
	m.wait(func() { ask = m.w.tracker.Heard([]watch.Event{{Key: s.name, Kind: kind}}, time.Now()) })
	m.tell(0, ask...)
}

// list lists all keys at once.
func (m *machine) list() {
	m.begin()
	for len(m.sweeps) > 0 {
		m.advance()
	}
}

func (m *machine) begin() {
	m.pass++
	pass := m.pass
	m.wait(func() { m.w.tracker.BeginListing(pass) })
	m.sweeps = append(m.sweeps, &sweep{pass: pass})
}

// advance takes some listing a step further. It fails if Redis is down.
func (m *machine) advance() {
	if len(m.sweeps) == 0 {
		return
	}
	i := m.pick(len(m.sweeps))
	s := m.sweeps[i]
	if m.isDown() {
		m.wait(func() { m.w.listingEnded(store.Listing{Number: s.pass, Failed: true}, time.Now()) })
		m.sweeps = append(m.sweeps[:i:i], m.sweeps[i+1:]...)
		return
	}
	end := min(s.next+1+m.pick(12), len(m.names))
	m.tell(s.pass, m.names[s.next:end]...)
	if s.next = end; end == len(m.names) {
		m.wait(func() {
			m.w.listingEnded(store.Listing{Number: s.pass, Node: "node", Run: "run", Nodes: []string{"node"}}, time.Now())
		})
		m.sweeps = append(m.sweeps[:i:i], m.sweeps[i+1:]...)
	}
}

// tell reads keys, and tells the worker a little later what they were.
func (m *machine) tell(pass uint64, names ...string) {
	if m.isDown() {
		return
	}
	var found []discover.Found
	versions := map[string]int64{}
	m.mu.Lock()
	for _, name := range names {
		f, version := m.keys[name].read(m, time.Now())
		if f.TTL == discover.Missing && pass != 0 && !m.w.current.Rebuild.Kept {
			continue // SCAN does not see it
		}
		found, versions[name] = append(found, f), version
	}
	m.mu.Unlock()
	time.Sleep(m.latency())
	m.wait(func() { m.found(found, versions, pass) })
}

func (m *machine) outage(down bool) {
	m.mu.Lock()
	was := m.down
	m.down = down
	m.mu.Unlock()
	if down {
		time.Sleep(m.latency()) // until the probe sees it
	}
	m.redis.up.Store(!down)
	if was && !down {
		restarted := m.pick(2) == 0
		m.wait(func() {
			if restarted {
				m.w.startOver("node", "another run", time.Now())
			}
		})
		m.begin()
	}
}

// own has a key be another engine's, or none, and the last such key ours again.
func (m *machine) own(name *string) {
	m.wait(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if was := m.foreign.Swap(name); was != nil {
			m.keys[*was].told, m.keys[*was].rests = 0, time.Time{}
		}
		if name != nil {
			m.keys[*name].told = 0
		}
	})
}

// change puts other settings into effect.
func (m *machine) change() {
	k := m.shape
	switch m.pick(4) {
	case 0:
		k.concurrent = 2 + m.pick(4)
	case 1:
		k.perSecond = []int{0, 15 + m.pick(20)}[m.pick(2)]
	case 2:
		k.staleAge = k.expire * time.Duration(45+m.pick(40)) / 100
	case 3:
		k.expire = m.kind.expire * time.Duration(50+m.pick(100)) / 100
		k.staleAge = k.expire * 62 / 100
	}
	m.update(m.compile(k), m.token)
}

// machineLoader is the loader: a source of another kind than HTTP.
type machineLoader struct {
	m     *machine
	batch int // keys per call
}

// machineTimeout is that of a call.
const machineTimeout = time.Second

func (l machineLoader) Open(*keyspace.Template, loader.Environment) (loader.Source, error) {
	return l, nil
}
func (l machineLoader) BatchSize() int { return l.batch }
func (l machineLoader) Describe(key string) loader.Request {
	return loader.Request{Method: "LOAD", Address: key}
}
func (l machineLoader) Close() {}

// Load answers for each key, or fails as a whole.
func (l machineLoader) Load(ctx context.Context, keys []string) []loader.Result {
	m, results := l.m, make([]loader.Result, len(keys))
	ctx, cancel := context.WithTimeout(ctx, machineTimeout)
	defer cancel()
	m.called(keys)
	values, failure := m.load(ctx, keys)
	m.answered(values, keys)
	if failure != nil {
		failure.WholeCall = true
		loader.FailAll(results, failure)
		return results
	}
	for i, key := range keys {
		results[i] = loader.Result{Value: []byte("a value")}
		if !values[key] {
			results[i] = loader.Result{Err: loader.Failf(loader.NotFound, "there is no such key")}
		}
	}
	return results
}

// load takes its time, in which the application may write. Keys that are not in
// values are unknown.
func (m *machine) load(ctx context.Context, keys []string) (values map[string]bool, failure *loader.Error) {
	mood := m.mood()
	took := time.Duration(1 + m.pick(int(mood.slow)))
	if m.chance(mood.hangs) {
		took = time.Minute
	}
	late := func(err error) *loader.Error {
		e := loader.Failf(loader.Timeout, "no answer in time")
		if errors.Is(err, context.Canceled) {
			e = loader.Failf(loader.Canceled, "cancelled")
		}
		e.Err, e.MayBeOneKey = err, e.Reason == loader.Timeout
		return e
	}
	if err := wake.Sleep(ctx, took/2); err != nil {
		return nil, late(err)
	}
	if m.chance(mood.interferes) {
		s, roll, part := m.keys[keys[m.pick(len(keys))]], m.pick(6), time.Duration(m.pick(1000))
		m.mu.Lock()
		switch expire := m.kind.expire; {
		case m.mild:
			s.put("string", time.Now().Add(expire))
		case roll == 0:
			s.put("", time.Time{})
		default:
			s.put("string", time.Now().Add(expire*part/1000))
		}
		m.mu.Unlock()
	}
	if err := wake.Sleep(ctx, took/2); err != nil {
		return nil, late(err)
	}
	if m.chance(mood.fails) {
		failure = loader.Failf(loader.UnexpectedStatus, "it failed")
		if failure.MayBeOneKey = m.pick(8) > 0; !failure.MayBeOneKey {
			failure.RetryAfter = 2 * time.Second
		}
		return nil, failure
	}
	values = map[string]bool{}
	for _, key := range keys {
		if !m.chance(mood.unknown) {
			values[key] = true
		}
	}
	return values, nil
}
