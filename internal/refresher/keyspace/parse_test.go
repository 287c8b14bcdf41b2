// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"slices"
	"strings"
	"testing"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
)

func TestParse(t *testing.T) {
	for sentence, c := range map[string]struct {
		template string
		prefix   string
		names    []string
		key      string // that matches
	}{
		"a placeholder at the end":                 {"product:{id}", "product:", []string{"id"}, "product:7"},
		"a placeholder in the middle":              {"page:{locale}:home", "page:", []string{"locale"}, "page:en:home"},
		"a placeholder alone":                      {"{id}", "", []string{"id"}, "7"},
		"a placeholder that takes anything":        {"page:{+path}", "page:", []string{"path"}, "page:/a:b"},
		"several placeholders keep their order":    {"{z}:{+a}:{m}", "", []string{"z", "a", "m"}, "1:2:3"},
		"no placeholder is one key":                {"home", "home", nil, "home"},
		"double braces are braces":                 {"a{{b}}c", "a{b}c", nil, "a{b}c"},
		"a hash tag around a placeholder":          {"user:{{{id}}}:p", "user:{", []string{"id"}, "user:{42}:p"},
		"a brace right behind a placeholder":       {"{id}}}", "", []string{"id"}, "42}"},
		"a name may have digits, capitals and _":   {"x{aB_9}", "x", []string{"aB_9"}, "xy"},
		"a name of 32 bytes":                       {"{" + strings.Repeat("n", 32) + "}", "", []string{strings.Repeat("n", 32)}, "x"},
		"a template of 256 bytes":                  {strings.Repeat("x", 256), strings.Repeat("x", 256), nil, strings.Repeat("x", 256)},
		"a prefix that Reserved starts with":       {"keepfresh{+x}", "keepfresh", []string{"x"}, "keepfreshly"},
		"Reserved further in is not reserved":      {"a:keepfresh:{x}", "a:keepfresh:", []string{"x"}, "a:keepfresh:1"},
		"text that is not UTF-8":                   {"\xff\x00{x}", "\xff\x00", []string{"x"}, "\xff\x00\xfe"},
		"a name that only starts like the key's":   {"{keys}", "", []string{"keys"}, "x"},
		"sixteen placeholders":                     {strings.Join(manyHoles(16), ":"), "", manyNames(16), strings.Repeat("x:", 15) + "x"},
		"a literal between placeholders may be :":  {"{a}:{b}", "", []string{"a", "b"}, "1:2"},
		"a literal between placeholders may be {}": {"{a}{{}}{b}", "", []string{"a", "b"}, "1{}2"},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := Parse(c.template)
			if err != nil {
				t.Fatal(err)
			}
			if got.Prefix() != c.prefix || !slices.Equal(got.Names(), c.names) || got.String() != c.template {
				t.Errorf("got prefix %q, names %q, text %q", got.Prefix(), got.Names(), got)
			}
			if got.IsLiteral() != (len(c.names) == 0) {
				t.Errorf("IsLiteral is %v", got.IsLiteral())
			}
			if !got.Matches(c.key) {
				t.Errorf("does not match %q", c.key)
			}
			for i, name := range c.names {
				if at, ok := got.Param(name); !ok || at != i {
					t.Errorf("Param(%q) = %d, %v", name, at, ok)
				}
			}
			if _, ok := got.Param("nobody"); ok {
				t.Error("has a parameter nobody")
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for sentence, c := range map[string]struct{ template, says string }{
		"nothing":                            {"", "is empty"},
		"more than 256 bytes":                {strings.Repeat("x", 257), "shorten it to at most 256"},
		"a brace that is never closed":       {"a{id", "never closed"},
		"a brace that closes nothing":        {"a}b", "write }}"},
		"a brace left over":                  {"{id}}", "write }}"},
		"a placeholder without a name":       {"a{}", "has no name"},
		"a + without a name":                 {"a{+}", "has no name"},
		"a name that starts with a digit":    {"{1a}", "lower-case letter"},
		"a name that starts with _":          {"{_a}", "lower-case letter"},
		"a name that starts with a capital":  {"{Id}", "lower-case letter"},
		"a name with a dash":                 {"{a-b}", "lower-case letter"},
		"a name with a space":                {"{a }", "lower-case letter"},
		"a name beyond ASCII":                {"{é}", "lower-case letter"},
		"an operator of RFC 6570":            {"{?a}", "lower-case letter"},
		"a list":                             {"{a,b}", "lower-case letter"},
		"a name of 33 bytes":                 {"{" + strings.Repeat("n", 33) + "}", "at most 32"},
		"the name key":                       {"{key}", "whole key"},
		"the name key with +":                {"{+key}", "whole key"},
		"a name twice":                       {"{a}:{a}", "its own name"},
		"a name twice, once with +":          {"{a}:{+a}", "its own name"},
		"two placeholders side by side":      {"{a}{b}", "put text between"},
		"two more side by side":              {"x{+a}{+b}", "put text between"},
		"seventeen placeholders":             {strings.Join(manyHoles(17), ":"), "more than 16"},
		"the reserved prefix":                {"keepfresh:{x}", "use another prefix"},
		"a literal with the reserved prefix": {"keepfresh:guard", "use another prefix"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := Parse(c.template)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Parse(%q): got error %v, want one that says %q", c.template, err, c.says)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"product:{id}", "user:{{{id}}}:p", "{+a}:{b}", "}}{{", "{a}{b}", "keepfresh:x", "{key}", "\xff{a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		got, err := Parse(template)
		if err != nil {
			return
		}
		// A key made from the template must match it.
		key := got.literals[0]
		for i := range got.holes {
			key += "x" + got.literals[i+1]
		}
		params, ok := got.Match(key, nil)
		if !ok || !got.Matches(key) || len(params) != len(got.names) {
			t.Errorf("%q does not match %q, which was made from it (%q)", template, key, params)
		}
		if !Overlap(got, got) {
			t.Errorf("%q does not overlap itself", template)
		}
	})
}

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = string(rune('a' + i))
	}
	return names
}

func manyHoles(n int) []string {
	holes := manyNames(n)
	for i := range holes {
		holes[i] = "{" + holes[i] + "}"
	}
	return holes
}

// A guard's name must be one that no template matches.
func TestGuardsLieUnderTheReservedPrefix(t *testing.T) {
	if !strings.HasPrefix(guard.Prefix, Reserved) {
		t.Errorf("guards lie under %q, which does not begin with %q", guard.Prefix, Reserved)
	}
}

// mustParse is Parse for templates that are right.
func mustParse(template string) *Template {
	t, err := Parse(template)
	if err != nil {
		panic(err)
	}
	return t
}
