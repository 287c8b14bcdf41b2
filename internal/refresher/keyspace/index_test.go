// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func indexOf(templates ...string) *Index[int] {
	var x Index[int]
	for i, text := range templates {
		x.Add(mustParse(text), i)
	}
	return &x
}

func TestIndexFind(t *testing.T) {
	for sentence, c := range map[string]struct {
		templates []string
		key       string
		want      []int
	}{
		"nothing in an empty index":            {nil, "p:1", nil},
		"the one that matches":                 {[]string{"p:{id}", "q:{id}"}, "q:1", []int{1}},
		"none when only the prefix fits":       {[]string{"p:{id}"}, "p:1:2", nil},
		"none for a key shorter than prefixes": {[]string{"product:{id}"}, "p", nil},
		"the longer prefix first":              {[]string{"{+all}", "p:{+x}", "p:a{+x}"}, "p:ab", []int{2, 1, 0}},
		"equal prefixes as they were added":    {[]string{"p:{+x}", "p:{y}"}, "p:1", []int{0, 1}},
		"the same template twice":              {[]string{"p:{x}", "p:{x}"}, "p:1", []int{0, 1}},
		"a template without placeholders":      {[]string{"home", "home{x}"}, "home", []int{0}},
		"no reserved key":                      {[]string{"{+all}", "keep{+x}"}, "keepfresh:guard:x", nil},
		"the empty key":                        {[]string{"{+all}"}, "", nil},
	} {
		t.Run(sentence, func(t *testing.T) {
			x := indexOf(c.templates...)
			var got []int
			for template, v := range x.Find(c.key) {
				if template.String() != c.templates[v] {
					t.Errorf("value %d comes with template %s", v, template)
				}
				got = append(got, v)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			for range x.Find(c.key) {
				break // must not go on
			}
			if x.Len() != len(c.templates) {
				t.Errorf("Len is %d", x.Len())
			}
		})
	}
}

func TestIndexPattern(t *testing.T) {
	for sentence, c := range map[string]struct {
		templates       []string
		prefix, pattern string
	}{
		"nothing to scan in an empty index":      {nil, "", ""},
		"one template":                           {[]string{"p:{id}"}, "p:", "p:*"},
		"a common prefix":                        {[]string{"shop:p:{id}", "shop:q:{id}"}, "shop:", "shop:*"},
		"a prefix within another":                {[]string{"shop:p:{id}", "shop:{+x}"}, "shop:", "shop:*"},
		"nothing in common":                      {[]string{"p:{id}", "q:{id}"}, "", "*"},
		"nothing in common stays so":             {[]string{"p:{id}", "{+x}", "p:{id}"}, "", "*"},
		"a template without placeholders":        {[]string{"home"}, "home", "home*"},
		"characters of globs are escaped":        {[]string{`a*?[^b-c]\{x}`}, `a*?[^b-c]\`, `a\*\?\[\^b\-c\]\\*`},
		"a hash tag, which is nothing to escape": {[]string{"u:{{{id}}}"}, "u:{", "u:{*"},
	} {
		t.Run(sentence, func(t *testing.T) {
			x := indexOf(c.templates...)
			if x.CommonPrefix() != c.prefix || x.Pattern() != c.pattern {
				t.Errorf("got prefix %q and pattern %q", x.CommonPrefix(), x.Pattern())
			}
		})
	}
}

func TestIndexFindDoesNotAllocate(t *testing.T) {
	x := indexOf("p:{id}", "p:{+x}", "q:{id}")
	sum := 0
	if n := testing.AllocsPerRun(100, func() {
		for _, v := range x.Find("p:123") {
			sum += v
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		var x Index[int]
		for i := range n {
			x.Add(mustParse(fmt.Sprintf("team%d:%s{id}", i, strings.Repeat("x:", i%8))), i)
		}
		for name, key := range map[string]string{
			"hit": "team0:0123456789", "miss": "team0:0123456789:x", "stranger": "session:0123456789",
		} {
			b.Run(fmt.Sprintf("templates=%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				found := 0
				for b.Loop() {
					for range x.Find(key) {
						found++
					}
				}
			})
		}
	}
}
