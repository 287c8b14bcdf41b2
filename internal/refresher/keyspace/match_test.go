// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for sentence, c := range map[string]struct {
		template, key string
		want          []string // nil: no match
	}{
		"a placeholder takes one byte":                    {"p:{id}", "p:1", []string{"1"}},
		"a placeholder takes many":                        {"p:{id}", "p:12/3 4", []string{"12/3 4"}},
		"a placeholder takes bytes that are not UTF-8":    {"p:{id}", "p:\xff\x00\n", []string{"\xff\x00\n"}},
		"a placeholder does not take nothing":             {"p:{id}", "p:", nil},
		"a placeholder does not take a colon":             {"p:{id}", "p:1:2", nil},
		"+ takes colons":                                  {"p:{+id}", "p:1:2", []string{"1:2"}},
		"+ takes a single colon":                          {"p:{+id}", "p::", []string{":"}},
		"+ takes line breaks":                             {"p:{+id}", "p:a\nb", []string{"a\nb"}},
		"+ does not take nothing":                         {"p:{+id}", "p:", nil},
		"another prefix":                                  {"p:{id}", "q:1", nil},
		"another suffix":                                  {"p:{id}:x", "p:1:y", nil},
		"prefix and suffix must not share bytes":          {"aa{x}aa", "aaa", nil},
		"prefix and suffix must leave something":          {"aa{x}aa", "aaaa", nil},
		"prefix and suffix around something":              {"aa{x}aa", "aaaaa", []string{"a"}},
		"a suffix that stands earlier too":                {"{x}b", "abab", []string{"aba"}},
		"the empty key":                                   {"{x}", "", nil},
		"no placeholder, the key":                         {"home", "home", []string{}},
		"no placeholder, a longer key":                    {"home", "home2", nil},
		"no placeholder, a shorter key":                   {"home", "hom", nil},
		"the first takes as little as it can":             {"{a}-{b}", "1-2-3", []string{"1", "2-3"}},
		"the first takes as little as it can, with +":     {"{+a}:{+b}", "1:2:3", []string{"1", "2:3"}},
		"but at least one byte":                           {"{a}-{b}", "--1", []string{"-", "1"}},
		"and leaves at least one byte":                    {"{a}-{b}", "1-", nil},
		"the last must not hold a colon, so + takes more": {"{+a}:{b}", "1:2:3", []string{"1:2", "3"}},
		"+ before a longer tail":                          {"{+a}:{b}:{c}", "1:2:3:4:5", []string{"1:2:3", "4", "5"}},
		"+ before a tail that is not there":               {"{+a}:{b}:", "1:2:3", nil},
		"+ in the middle":                                 {"{a}:{+b}:{c}", "1:2:3:4", []string{"1", "2:3", "4"}},
		"a literal that overlaps itself":                  {"{a}::{b}", "x:::y", nil},
		"a literal that overlaps itself behind +":         {"{+a}::{b}", "x:::y", []string{"x:", "y"}},
		"a false start in the middle":                     {"{+a}x{b}:y{+c}", "1x2:z:x3:y4", []string{"1x2:z:", "3", "4"}},
		"the last two of a tail with a colon too many":    {"{a}-{b}-{c}:{d}", "1-2-3-4:5:6", nil},
		"+ takes the colons that a tail cannot have":      {"{+a}-{+b}-{c}:{d}", "1-2:3-4:5", []string{"1", "2:3", "4", "5"}},
		"a hash tag":                                      {"u:{{{id}}}:p", "u:{42}:p", []string{"42"}},
		"a hash tag that is not there":                    {"u:{{{id}}}:p", "u:42:p", nil},
		"a reserved key, by a template that takes all":    {"{+all}", "keepfresh:guard:x", nil},
		"a reserved key, by part of the prefix":           {"keep{+all}", "keepfresh:guard:x", nil},
		"a reserved key, by a placeholder in front":       {"{a}:{+b}", "keepfresh:guard:x", nil},
		"the reserved prefix alone":                       {"{+all}", "keepfresh:", nil},
		"nearly the reserved prefix":                      {"{+all}", "keepfresh", []string{"keepfresh"}},
		"a key that goes on otherwise":                    {"{+all}", "keepfresher:x", []string{"keepfresher:x"}},
		"the reserved prefix further in":                  {"a:{+all}", "a:keepfresh:x", []string{"keepfresh:x"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			checkMatch(t, mustParse(c.template), c.key, c.want)
		})
	}
}

func checkMatch(t *testing.T, template *Template, key string, want []string) {
	t.Helper()
	got, ok := template.Match(key, nil)
	if ok != (want != nil) || !slices.Equal(got, want) {
		t.Errorf("%s takes %q apart into %q, %v; want %q", template, key, got, ok, want)
	}
	if template.Matches(key) != ok {
		t.Errorf("%s: Matches(%q) is %v, and Match says otherwise", template, key, !ok)
	}
}

func TestMatchAppends(t *testing.T) {
	template := mustParse("{a}:{b}")
	if got, ok := template.Match("1:2", []string{"0"}); !ok || !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("got %q, %v", got, ok)
	}
	if got, ok := template.Match("1", []string{"0"}); ok || !slices.Equal(got, []string{"0"}) {
		t.Errorf("without a match got %q, %v", got, ok)
	}
}

// oracle takes keys apart with package regexp. A key's bytes become runes, so
// that regexp does not take them for UTF-8.
func oracle(template *Template) func(key string) []string {
	var b strings.Builder
	b.WriteString("(?s)^")
	for i, literal := range template.literals {
		b.WriteString(regexp.QuoteMeta(runes(literal)))
		if i < len(template.holes) {
			if template.holes[i].any {
				b.WriteString("(.+?)")
			} else {
				b.WriteString("([^:]+?)")
			}
		}
	}
	b.WriteString("$")
	re := regexp.MustCompile(b.String())
	return func(key string) []string {
		found := re.FindStringSubmatch(runes(key))
		if found == nil || strings.HasPrefix(key, Reserved) {
			return nil
		}
		for i := range found {
			found[i] = bytesOf(found[i])
		}
		return found[1:]
	}
}

func runes(s string) string {
	out := make([]rune, len(s))
	for i := range len(s) {
		out[i] = rune(s[i])
	}
	return string(out)
}

func bytesOf(s string) string {
	var out []byte
	for _, r := range s {
		out = append(out, byte(r))
	}
	return string(out)
}

// randomTemplate has up to n pieces over a tiny alphabet, so that everything
// that can be ambiguous is.
func randomTemplate(rnd *rand.Rand, n int) *Template {
	for {
		var b strings.Builder
		for i := range 1 + rnd.IntN(n) {
			switch rnd.IntN(6) {
			case 0:
				fmt.Fprintf(&b, "{p%d}", i)
			case 1:
				fmt.Fprintf(&b, "{+p%d}", i)
			case 2:
				b.WriteByte(':')
			case 3:
				b.WriteByte('b')
			default:
				b.WriteByte('a')
			}
		}
		if t, err := Parse(b.String()); err == nil {
			return t
		}
	}
}

func randomKey(rnd *rand.Rand, n int) string {
	key := make([]byte, rnd.IntN(n+1))
	for i := range key {
		key[i] = "aaab::"[rnd.IntN(6)]
	}
	return string(key)
}

func TestMatchAgreesWithRegexp(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	matched := 0
	for range 2000 {
		template := randomTemplate(rnd, 11)
		want := oracle(template)
		for range 60 {
			key := template.Prefix() + randomKey(rnd, 14) + template.literals[len(template.holes)]
			if checkMatch(t, template, key, want(key)); template.Matches(key) {
				matched++
			}
		}
		if t.Failed() {
			return
		}
	}
	if matched < 5000 {
		t.Errorf("only %d keys matched, which shows little", matched)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("product:{id}", "product:7")
	f.Add("{+a}x{b}:y{+c}", "1x2:z:x3:y4")
	f.Add("{a}::{+b}a{c}b", "a::aabaab")
	f.Add("{+all}", "keepfresh:guard:x")
	f.Add("\xff{a}\xfe", "\xff\x80\xfe")
	f.Fuzz(func(t *testing.T, text, key string) {
		template, err := Parse(text)
		if err != nil || len(key) > 1000 {
			return
		}
		checkMatch(t, template, key, oracle(template)(key))
	})
}

// hostile are keys for which a matcher that goes back and searches again needs
// quadratic time or worse; at this size that would be minutes.
var hostile = map[string]struct{ template, piece, end string }{
	"a literal that never comes":       {"{+a}x{b}y:{+c}", "x", ":"},
	"a start in every place":           {"{+a}x{b}y:{+c}", "xy", ":z"},
	"a colon in every place":           {"{+a}:{b}:{c}:{d}x", ":", "x"},
	"a colon before every end":         {"{+a}x{b}y{+c}", "xx:yy", "z"},
	"a literal that nearly comes":      {"{+a}aaaaaaab{c}aaaaaaab{+d}", "a", "z"},
	"many wildcards":                   {"{+a}x{+b}x{+c}x{+d}y{+e}", "x", "z"},
	"many wildcards and a tail":        {"{+a}x{+b}x{+c}x{d}:{e}y", "x", "y"},
	"a tail that fits everywhere":      {"{+a}x{b}x{c}x{d}:", "x:", ":"},
	"a tail that fits but for the end": {"{+a}:{b}:{c}", "1:", ":"},
}

func TestMatchIsLinear(t *testing.T) {
	for sentence, c := range hostile {
		t.Run(sentence, func(t *testing.T) {
			const size = 8 << 20
			key := strings.Repeat(c.piece, size/len(c.piece)) + c.end
			mustParse(c.template).Matches(key) // or the test times out
		})
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	for _, text := range []string{"product:{id}", "{a}:{b}:{c}", "p:{+path}:{id}", "home"} {
		template := mustParse(text)
		params := make([]string, 0, MaxPlaceholders)
		if n := testing.AllocsPerRun(100, func() {
			template.Matches("product:123")
			template.Matches("p:1:2:3")
			_, _ = template.Match("p:1:2:3", params)
		}); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	for _, c := range []struct{ name, template, key string }{
		{"one", "product:{id}", "product:0123456789"},
		{"other prefix", "product:{id}", "session:0123456789"},
		{"three", "t:{tenant}:u:{user}:{what}", "t:acme:u:0123456789:profile"},
		{"mixed", "page:{+path}:{locale}", "page:/shop/shoes/4711:draft:en"},
	} {
		template := mustParse(c.template)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				template.Matches(c.key)
			}
		})
	}
}
