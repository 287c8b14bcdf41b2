// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestOverlap(t *testing.T) {
	for sentence, c := range map[string]struct {
		a, b string
		want bool
	}{
		"a template and itself":                         {"p:{id}", "p:{id}", true},
		"the same with another name":                    {"p:{id}", "p:{sku}", true},
		"different prefixes":                            {"p:{id}", "q:{id}", false},
		"one prefix within the other":                   {"p:{id}", "p:x{id}", true},
		"one key within a template":                     {"p:{id}", "p:7", true},
		"one key outside a template":                    {"p:{id}", "p:7:8", false},
		"two keys":                                      {"a", "b", false},
		"a different number of parts":                   {"p:{a}", "p:{a}:{b}", false},
		"a different number of parts, one with +":       {"p:{+a}", "p:{a}:{b}", true},
		"different suffixes":                            {"p:{+a}:x", "p:{+a}:y", false},
		"suffixes that may be within the other":         {"p:{+a}:x", "p:{+a}x", true},
		"a part that is literal in one":                 {"p:{a}:home", "p:en:{b}", true},
		"a literal that a placeholder cannot be":        {"p:{a}", "p::{b}", false},
		"a literal of one byte where two are needed":    {"{a}:{b}", ":x", false},
		"a placeholder needs a byte":                    {"p:{a}", "p:", false},
		"a hash tag and a plain key":                    {"u:{{{id}}}", "u:{id}", true},
		"a hash tag and a plain key with a suffix":      {"u:{{{id}}}", "u:{id}x", false},
		"everything and anything":                       {"{+all}", "p:{id}", true},
		"everything and nearly reserved":                {"{+all}", "keepfresh{+x}", true},
		"what only reserved keys have in common":        {"keepfresh{+x}", "{a}:{+b}", true},
		"literals crosswise":                            {"a{x}b{y}c", "a{z}c", true},
		"literals crosswise with a colon":               {"a{x}b:{y}c", "a{z}c", false},
		"literals that never line up":                   {"{a}xy", "{a}yx", false},
		"a key that is too short for the other's parts": {"{a}-{b}-{c}", "1-2", false},
	} {
		t.Run(sentence, func(t *testing.T) {
			a, b := mustParse(c.a), mustParse(c.b)
			if Overlap(a, b) != c.want || Overlap(b, a) != c.want {
				t.Errorf("%s and %s: got %v and %v, want %v", a, b, Overlap(a, b), Overlap(b, a), c.want)
			}
		})
	}
}

// allKeys are all keys of up to n bytes; z stands for all that no literal has.
func allKeys(n int) []string {
	keys := []string{""}
	for from := 0; n > 0; n-- {
		end := len(keys)
		for _, key := range keys[from:end] {
			for _, c := range []string{"a", "b", ":", "z"} {
				keys = append(keys, key+c)
			}
		}
		from = end
	}
	return keys
}

// TestOverlapAgreesWithAllKeys compares with trying every key. Templates of up to
// four pieces have a key in common, if any, of at most seven bytes. A reserved
// prefix of two bytes stands in for the real one.
func TestOverlapAgreesWithAllKeys(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	keys := allKeys(7)
	for _, reserved := range []string{"", "a:", "ab"} {
		overlapping, disjoint := 0, 0
		for range 500 {
			a, b := randomTemplate(rnd, 4), randomTemplate(rnd, 4)
			want := ""
			for _, key := range keys {
				if a.Matches(key) && b.Matches(key) && (reserved == "" || !strings.HasPrefix(key, reserved)) {
					want = key
					break
				}
			}
			if got := overlap(a.steps(), b.steps(), reserved); got != (want != "") {
				t.Fatalf("%s and %s, reserved %q: got %v, and a common key is %q", a, b, reserved, got, want)
			}
			if reserved == "" && Overlap(a, b) != (want != "") {
				t.Fatalf("%s and %s: Overlap disagrees", a, b)
			}
			if want != "" {
				overlapping++
			} else {
				disjoint++
			}
		}
		if min(overlapping, disjoint) < 50 {
			t.Errorf("%d overlapped and %d did not, which shows little", overlapping, disjoint)
		}
	}
}

// FuzzOverlap looks for a key that matches two templates of which Overlap says
// that none does.
func FuzzOverlap(f *testing.F) {
	f.Add("p:{a}:home", "p:en:{b}", "p:en:home")
	f.Add("{+all}", "keep{x}", "keepfresh")
	f.Add("{+a}b{c}", "{a}:b{+c}", "a:ba")
	f.Fuzz(func(t *testing.T, textA, textB, key string) {
		a, errA := Parse(textA)
		b, errB := Parse(textB)
		if errA == nil && errB == nil && a.Matches(key) && b.Matches(key) && !Overlap(a, b) {
			t.Errorf("%q matches %q and %q, which are said not to overlap", key, a, b)
		}
	})
}

func BenchmarkOverlap(b *testing.B) {
	for name, pair := range map[string][2]string{
		"typical": {"page:{+path}:{locale}", "page:{section}:{+rest}"},
		"largest": {"{+a}" + strings.Repeat("x", 245) + "{+b}", "{+a}" + strings.Repeat("x", 244) + "y{+b}"},
	} {
		x, y := mustParse(pair[0]), mustParse(pair[1])
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Overlap(x, y)
			}
		})
	}
}
