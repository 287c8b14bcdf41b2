// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
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
		m.update(m.l.set, fmt.Sprint("token ", m.tokens))
	case n < 74:
		m.wait(func() { m.l.publish() })
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
	s, kind, expire := m.any(), "string", m.l.set.Expire
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
		s.put("string", now.Add(m.kind.Expire))
	}
}

// hear tells the lane of an event, as server.heard does.
func (m *machine) hear(s *subject, kind watch.Kind) {
	var ask []string
	m.wait(func() { ask = m.l.heard([]watch.Event{{Key: s.name, Kind: kind}}, time.Now()) })
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
	m.wait(func() { m.l.listing(pass) })
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
		m.sweeps = append(m.sweeps[:i:i], m.sweeps[i+1:]...)
		return
	}
	end := min(s.next+1+m.pick(12), len(m.names))
	m.tell(s.pass, m.names[s.next:end]...)
	if s.next = end; end == len(m.names) {
		m.wait(func() { m.l.listed(s.pass, "run", time.Now()) })
		m.sweeps = append(m.sweeps[:i:i], m.sweeps[i+1:]...)
	}
}

// tell reads keys, and tells the lane a little later what they were.
func (m *machine) tell(pass uint64, names ...string) {
	if m.isDown() {
		return
	}
	var found []discover.Found
	versions := map[string]int64{}
	m.mu.Lock()
	for _, name := range names {
		f, version := m.keys[name].read(m, time.Now())
		if f.TTL == discover.Missing && pass != 0 && !m.l.set.kept() {
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
	m.srv.serving.Store(!down)
	if was && !down {
		restarted := m.pick(2) == 0
		m.wait(func() {
			if restarted {
				m.l.startOver("another run")
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
	k := m.l.set.Keyspace
	switch m.pick(4) {
	case 0:
		k.MaxConcurrent = 2 + m.pick(4)
	case 1:
		k.MaxPerSecond = []int{0, 15 + m.pick(20)}[m.pick(2)]
	case 2:
		k.DueAfter = k.Expire * time.Duration(45+m.pick(40)) / 100
	case 3:
		k.Expire = m.kind.Expire * time.Duration(50+m.pick(100)) / 100
		k.DueAfter = k.Expire * 62 / 100
	}
	m.update(m.compile(k), m.l.force.token)
}

// RoundTrip is the loader.
func (m *machine) RoundTrip(r *http.Request) (*http.Response, error) {
	keys := []string{r.URL.Query().Get("key")}
	if r.Body != nil {
		var asked struct{ Keys []string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			m.failed("a question that is no JSON: %v", err)
		}
		keys = asked.Keys
	}
	m.called(keys)
	values, failed, err := m.load(r, keys)
	m.answered(values, keys)
	if err != nil {
		return nil, err
	}
	status, body := http.StatusOK, []byte("a value")
	switch {
	case r.Body != nil:
		unknown := []string{}
		for _, key := range keys {
			if _, ok := values[key]; !ok {
				unknown = append(unknown, key)
			}
		}
		body, _ = json.Marshal(map[string]any{"values": values, "notFound": unknown})
	case len(values) == 0:
		status = http.StatusNotFound
	}
	h := http.Header{}
	if failed {
		status = http.StatusInternalServerError
		if m.pick(8) == 0 {
			status = http.StatusServiceUnavailable
			h.Set("Retry-After", "2")
		}
	}
	return &http.Response{StatusCode: status, Header: h, Request: r, ContentLength: int64(len(body)),
		ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(bytes.NewReader(body))}, nil
}

// load takes its time, in which the application may write. Keys that are not in
// values are unknown.
func (m *machine) load(r *http.Request, keys []string) (values map[string]string, failed bool, err error) {
	mood := m.mood()
	took := time.Duration(1 + m.pick(int(mood.slow)))
	if m.chance(mood.hangs) {
		took = time.Minute
	}
	if !pause(r, took/2) {
		return nil, true, r.Context().Err()
	}
	if m.chance(mood.interferes) {
		s, roll, part := m.keys[keys[m.pick(len(keys))]], m.pick(6), time.Duration(m.pick(1000))
		m.mu.Lock()
		switch expire := m.kind.Expire; {
		case m.mild:
			s.put("string", time.Now().Add(expire))
		case roll == 0:
			s.put("", time.Time{})
		default:
			s.put("string", time.Now().Add(expire*part/1000))
		}
		m.mu.Unlock()
	}
	if !pause(r, took/2) {
		return nil, true, r.Context().Err()
	}
	if m.chance(mood.fails) {
		return nil, true, nil
	}
	values = map[string]string{}
	for _, key := range keys {
		if !m.chance(mood.unknown) {
			values[key] = "a value"
		}
	}
	return values, false, nil
}
