// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// model is a schedule as plain as can be: what each key should be.
type model struct {
	t    testing.TB
	rnd  *rand.Rand
	now  time.Time
	s    *Schedule
	keys map[string]*want
}

type want struct {
	expiry time.Time
	place  place
	until  time.Time
	marks  Marks
	seen   uint8
}

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newModel(t testing.TB, seed uint64) *model {
	return &model{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), now: start, s: New("k:", start), keys: map[string]*want{}}
}

// span is a duration of any length, from none to beyond the horizon, or back.
func (m *model) span() time.Duration {
	d := time.Duration(m.rnd.Int64N(1 << m.rnd.IntN(56)))
	if m.rnd.IntN(8) == 0 {
		return -d
	}
	return d
}

// name is one of few, so that they meet again, and of any length.
func (m *model) name() string {
	i := m.rnd.IntN(3000)
	return fmt.Sprintf("k:%d%s", i, strings.Repeat("x", i%7*i%300))
}

// step does something at random to the schedule and to the model.
func (m *model) step() {
	name := m.name()
	id, w := m.s.Find(name), m.keys[name]
	if (id != 0) != (w != nil) {
		m.t.Fatalf("%q is number %d, and should be there: %v", name, id, w != nil)
	}
	if again := m.s.FindAgain(name, ID(m.rnd.IntN(m.s.Len()+2))); again != id {
		m.t.Fatalf("%q is number %d, and found again as %d", name, id, again)
	}
	if m.rnd.IntN(1000) == 0 {
		m.flurry()
		return
	}
	if w == nil {
		m.s.Add(name)
		m.keys[name] = &want{expiry: m.s.epoch}
		return
	}
	switch m.rnd.IntN(8) {
	case 0:
		m.s.Remove(id)
		delete(m.keys, name)
	case 1, 2:
		w.until, w.place = m.now.Add(m.span()), waiting
		if m.s.Wait(id, w.until); w.until.Before(m.now) {
			w.until = m.now // it comes at once
		}
	case 3:
		w.place = due
		m.s.MakeDue(id)
	case 4:
		w.place = unqueued
		m.s.Dequeue(id)
		w.expiry = m.now.Add(m.span()).Truncate(time.Millisecond)
		m.s.SetExpiry(id, w.expiry)
	case 5:
		w.marks, w.seen = Marks(m.rnd.IntN(256)), uint8(m.rnd.IntN(256))
		m.s.Unmark(id, 255)
		m.s.Mark(id, w.marks)
		m.s.See(id, w.seen)
	case 6:
		m.pop()
	case 7:
		m.now = m.now.Add(m.span().Abs())
		m.come()
	}
}

// flurry puts one key again and again where it leaves before its time, so often
// that what is noted of it for nothing has to go.
func (m *model) flurry() {
	for name, w := range m.keys {
		id, to := m.s.Find(name), m.rnd.IntN(3)
		for range 2*len(m.keys) + 4*tolerated {
			m.s.Dequeue(id)
			switch to {
			case 0:
				m.s.Wait(id, m.now.Add(m.span()))
			case 1:
				m.s.SetExpiry(id, m.now.Add(m.span().Abs()))
				m.s.MakeDue(id)
			case 2: // late, if others are due
				m.s.SetExpiry(id, start)
				m.s.MakeDue(id)
			}
			m.checkWaste()
		}
		m.s.Dequeue(id)
		w.place, w.expiry = unqueued, m.s.Expiry(id)
		return
	}
}

// checkWaste holds what is noted for nothing against what may be.
func (m *model) checkWaste() {
	most := m.s.Len()/2 + tolerated
	for queue, waste := range map[string]int{
		"that wait": m.s.waits.noted - m.s.waits.n,
		"due":       m.s.dues.noted - m.s.dues.n,
		"late":      len(m.s.lates) - m.s.late,
	} {
		if waste < 0 || waste > most {
			m.t.Fatalf("of %d keys, %d are noted among those %s for nothing, want at most %d", m.s.Len(), waste, queue, most)
		}
	}
}

// checkNoted counts what a wheel has noted.
func (m *model) checkNoted(w *wheel) {
	noted, chunks := 0, 0
	for _, l := range w.levels {
		if l == nil {
			continue
		}
		for slot, number := range l.first {
			if some := l.set[slot>>6]>>(slot&63)&1 == 1; some != (number != 0) {
				m.t.Fatalf("slot %d has chunk %d, and some keys: %v", slot, number, some)
			}
			for ; number != 0; number = w.chunk(number).next {
				noted += int(w.chunk(number).n)
				chunks++
			}
		}
	}
	for number := w.spare; number != 0; number = w.chunk(number).next {
		chunks++
	}
	made := 0
	for _, page := range w.chunks {
		made += len(page)
	}
	if noted != w.noted || chunks != max(0, made-1) {
		m.t.Fatalf("%d entries in %d chunks, want %d in %d", noted, chunks, w.noted, made-1)
	}
}

// come lets all come whose time has come.
func (m *model) come() {
	var before time.Time
	for {
		next, some := m.s.Next(m.now)
		ids := make([]ID, 1+m.rnd.IntN(20))
		ids = ids[:m.s.TakeReady(m.now, ids)]
		if len(ids) == 0 {
			if some && !next.After(m.now) {
				m.t.Fatalf("it is %s, and nothing came, though the next was said to come at %s", m.now, next)
			}
			break
		}
		for _, id := range ids {
			name := m.s.Name(id)
			w := m.keys[name]
			if w == nil || w.place != waiting {
				m.t.Fatalf("%q came, which did not wait", name)
			}
			if !some || next.After(m.now) {
				m.t.Fatalf("%q came at %s; the next was said to come at %s", name, m.now, next)
			}
			if w.until.After(m.now) && w.until.Sub(start) < horizon*Tick {
				m.t.Fatalf("%q came at %s, it was to wait until %s", name, m.now, w.until)
			}
			if w.until.Before(before.Add(-Tick)) && before.Sub(start) < horizon*Tick {
				m.t.Fatalf("%q came, of %s, after one of %s", name, w.until, before)
			}
			before, w.place = w.until, unqueued
		}
	}
	for name, w := range m.keys {
		if w.place == waiting && w.until.Before(m.now.Add(-Tick)) {
			m.t.Fatalf("%q did not come; it is %s, and it waits until %s", name, m.now, w.until)
		}
	}
}

// pop takes out the key that expires first.
func (m *model) pop() {
	var ids [1]ID
	if m.s.Pop(ids[:]) == 0 {
		for name, w := range m.keys {
			if w.place == due {
				m.t.Fatalf("nothing is due, but %q is", name)
			}
		}
		return
	}
	id := ids[0]
	popped := m.keys[m.s.Name(id)]
	if popped == nil || popped.place != due {
		m.t.Fatalf("%q was popped, which was not due", m.s.Name(id))
	}
	popped.place = unqueued
	if popped.expiry.Sub(start) > horizon*Tick {
		return // in no hurry
	}
	for name, w := range m.keys {
		if w.place == due && m.clamp(w.expiry).Before(m.clamp(popped.expiry).Add(-Tick)) {
			m.t.Fatalf("%q was popped, but %q expires before it: %s, %s", m.s.Name(id), name, popped.expiry, w.expiry)
		}
	}
}

// clamp is an expiry as far as a schedule can tell it.
func (m *model) clamp(t time.Time) time.Time {
	if t.Before(m.s.epoch) {
		return m.s.epoch
	}
	if end := m.s.epoch.Add(maxExpiry * time.Millisecond); t.After(end) {
		return end
	}
	return t
}

// check compares all there is.
func (m *model) check() {
	if m.s.Len() != len(m.keys) {
		m.t.Fatalf("%d keys, want %d", m.s.Len(), len(m.keys))
	}
	m.checkWaste()
	m.checkNoted(&m.s.waits)
	m.checkNoted(&m.s.dues)
	names := map[string]bool{}
	var all []ID
	dues := 0
	for id := range m.s.All() {
		name := m.s.Name(id)
		w := m.keys[name]
		if w == nil {
			m.t.Fatalf("%q is there", name)
		}
		names[name] = true
		all = append(all, id)
		if got := m.s.Find(name); got != id {
			m.t.Fatalf("%q is found as number %d, it is %d", name, got, id)
		}
		r := m.s.rec(id)
		place := r.place
		if place == late {
			place = due
		}
		if place != w.place || r.marks != w.marks || r.seen != w.seen {
			m.t.Fatalf("%q is %+v, want %+v", name, r, w)
		}
		if got, want := m.s.Expiry(id), m.clamp(w.expiry); !got.Equal(want) {
			m.t.Fatalf("%q expires at %s, want %s", name, got, want)
		}
		if place == due {
			dues++
		}
		at, waits := m.s.Until(id)
		if waits != (place == waiting) || m.s.Unqueued(id) != (place == unqueued) {
			m.t.Fatalf("%q waits: %v, rests: %v, want %+v", name, waits, m.s.Unqueued(id), w)
		}
		early := at.Before(w.until) && w.until.After(m.now) // else it is the same
		if waits && w.until.Sub(start) < horizon*Tick && (early || at.Sub(w.until) >= Tick) {
			m.t.Fatalf("%q waits until %s, want %s", name, at, w.until)
		}
		if want := place == due || waits && !at.After(m.now); m.s.Queued(id, m.now) != want {
			m.t.Fatalf("%q is queued at %s: %v, want %v; %+v", name, m.now, !want, want, w)
		}
	}
	for i, name := range m.s.Names(all, nil) {
		if m.s.Find(name) != all[i] {
			m.t.Fatalf("%q is the name of number %d, want %d", name, m.s.Find(name), all[i])
		}
	}
	if len(names) != len(m.keys) || dues != m.s.Due() {
		m.t.Fatalf("%d different keys, want %d; %d due, it says %d", len(names), len(m.keys), dues, m.s.Due())
	}
}

// Whatever is done to a schedule, it holds exactly the keys that it should, says
// of each what it was told, and lets none come early, late or out of order.
func TestAScheduleIsWhatItsModelIs(t *testing.T) {
	for seed := range uint64(60) {
		m := newModel(t, seed)
		for range 4000 {
			m.step()
		}
		m.check()
		for _, name := range slices.Sorted(maps.Keys(m.keys)) { // and back to nothing
			if m.s.Remove(m.s.Find(name)); m.rnd.IntN(100) == 0 {
				delete(m.keys, name)
				m.now = m.now.Add(m.span().Abs()) // it is not among those that come
				m.come()
				m.check()
			}
			delete(m.keys, name)
		}
		m.check()
		if len(m.s.pages) != 1 || len(m.s.index.buckets) > 2 || m.s.waits.n != 0 || m.s.Due() != 0 {
			t.Fatalf("an empty schedule holds on to %d pages and %d buckets; %d wait, %d are due",
				len(m.s.pages), len(m.s.index.buckets), m.s.waits.n, m.s.Due())
		}
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add(uint64(1), uint16(100))
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16) {
		m := newModel(t, seed)
		for range steps {
			m.step()
		}
		m.check()
	})
}
