// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var conf = AdmissionConfig{Interval: 20 * time.Second, Pause: time.Second, Limit: 50, Pending: 5}

// model is what an Admission promises, by remembering all.
type model struct {
	admitted, vain map[string]time.Time
	under          map[string]bool
	log            []time.Time // of admissions
}

// Any order of misses and loads, of few keys again and again and of keys that
// never come twice.
func TestAdmissionKeepsItsPromises(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		a := NewAdmission(conf)
		m := model{admitted: map[string]time.Time{}, vain: map[string]time.Time{}, under: map[string]bool{}}
		now := time.Unix(1000, 0)
		known := func(key string) bool { return len(key)%2 == 0 } // to the loader
		for i := range 3000 {
			now = now.Add(time.Duration(r.ExpFloat64() * float64(50*time.Millisecond)))
			key := fmt.Sprintf("k%d", r.IntN(200))
			if r.IntN(3) == 0 {
				key = fmt.Sprintf("random%d", i)
			}
			if len(m.under) > 0 && r.IntN(2) == 0 {
				for key = range m.under {
					break
				}
				a.Done(key, known(key), now)
				delete(m.under, key)
				if !known(key) {
					m.vain[key] = now
				}
				continue
			}
			if a.Admit(key, now) {
				m.admit(t, key, now)
			}
			if n := size(a); n > 4*(conf.Limit+conf.Pending) {
				t.Fatalf("it remembers %d keys", n)
			}
		}
	}
}

func size(a *Admission) int {
	return len(a.recent.young) + len(a.recent.old) + len(a.unknown.young) + len(a.unknown.old)
}

func (m *model) admit(t *testing.T, key string, now time.Time) {
	t.Helper()
	if m.under[key] {
		t.Fatalf("%q is loaded twice at once", key)
	}
	if since := now.Sub(m.admitted[key]); since < conf.Pause {
		t.Fatalf("%q is loaded again after %s", key, since)
	}
	if since := now.Sub(m.vain[key]); since < conf.Interval {
		t.Fatalf("%q, which the loader does not know, is loaded again after %s", key, since)
	}
	m.admitted[key], m.under[key] = now, true
	if len(m.under) > conf.Pending {
		t.Fatalf("%d loads at once", len(m.under))
	}
	m.log = append(m.log, now)
	if n := len(m.log) - 2*(conf.Limit+conf.Pending); n > 0 && now.Sub(m.log[n-1]) < conf.Pause {
		t.Fatalf("%d loads within a pause", len(m.log)-n)
	}
}

func TestAFloodForAKeyThatIsNotKnownCostsOneLoadPerInterval(t *testing.T) {
	a, now, loads := NewAdmission(conf), time.Unix(1000, 0), 0
	const length = 10 * time.Minute
	for end := now.Add(length); now.Before(end); now = now.Add(10 * time.Millisecond) {
		if a.Admit("k", now) {
			loads++
			a.Done("k", false, now)
		}
	}
	if most := int(length / conf.Interval); loads > most+1 || loads < most/2 {
		t.Errorf("%d loads in %s, want one per 1 to 2 intervals of %s", loads, length, conf.Interval)
	}
}

func TestAFloodOfRandomKeysIsBounded(t *testing.T) {
	a, now, loads := NewAdmission(conf), time.Unix(1000, 0), 0
	const length = 10 * time.Minute
	for i := 0; now.Before(time.Unix(1000, 0).Add(length)); i++ {
		if key := fmt.Sprint(i); a.Admit(key, now) {
			loads++
			a.Done(key, false, now)
		}
		now = now.Add(time.Millisecond)
	}
	if most := conf.Limit * (int(length/conf.Interval) + 1); loads > most || loads < most/2 {
		t.Errorf("%d loads, want at most %d and not few", loads, most)
	}
	if n := size(a); n > 4*(conf.Limit+conf.Pending) {
		t.Errorf("it remembers %d keys", n)
	}
}

func TestAKeyThatWasDeletedAgainIsLoadedAgainSoon(t *testing.T) {
	a, now := NewAdmission(conf), time.Unix(1000, 0)
	if !a.Admit("k", now) {
		t.Fatal("the first miss was refused")
	}
	a.Done("k", true, now)
	if a.Admit("k", now.Add(conf.Pause/2)) {
		t.Error("admitted within the pause")
	}
	if !a.Admit("k", now.Add(2*conf.Pause)) {
		t.Error("not admitted after it")
	}
}

func TestAdmissionGoesOnAfterAFlood(t *testing.T) {
	a, now := NewAdmission(conf), time.Unix(1000, 0)
	for i := range 1000 {
		if key := fmt.Sprint(i); a.Admit(key, now) {
			a.Done(key, false, now)
		}
	}
	if a.Admit("k", now) {
		t.Error("a key was admitted in a flood; it is to be refused, not to push others out")
	}
	if !a.Admit("k", now.Add(conf.Interval)) {
		t.Error("it is refused still")
	}
}

func TestDoneWithoutAdmit(t *testing.T) {
	a, now := NewAdmission(conf), time.Unix(1000, 0)
	a.Done("k", false, now)
	if !a.Admit("k", now) {
		t.Error("a load that was never admitted counts")
	}
}

func BenchmarkAdmission(b *testing.B) {
	a := NewAdmission(AdmissionConfig{Interval: time.Minute, Pause: time.Second, Limit: 1 << 14, Pending: 100})
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = fmt.Sprintf("product:%d", i)
	}
	now := time.Unix(1000, 0)
	for i := 0; b.Loop(); i++ {
		if key := keys[i%len(keys)]; a.Admit(key, now) {
			a.Done(key, false, now)
		}
		now = now.Add(time.Microsecond)
	}
}
