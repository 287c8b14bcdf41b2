// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"fmt"
	"slices"
	"strings"
)

// Parse reads a template. Its errors say what to write instead.
func Parse(template string) (*Template, error) {
	t, err := parse(template)
	if err != nil {
		if len(template) > MaxLength {
			template = template[:MaxLength]
		}
		return nil, fmt.Errorf("key template %q: %w", template, err)
	}
	return t, nil
}

func parse(source string) (*Template, error) {
	if source == "" {
		return nil, fmt.Errorf("is empty; write the keys' pattern, such as product:{id}")
	}
	if len(source) > MaxLength {
		return nil, fmt.Errorf("has %d bytes; shorten it to at most %d", len(source), MaxLength)
	}
	t := &Template{source: source}
	var literal strings.Builder
	for i := 0; i < len(source); {
		c := source[i]
		switch {
		case c != '{' && c != '}':
			literal.WriteByte(c)
			i++
		case i+1 < len(source) && source[i+1] == c: // {{ or }}
			literal.WriteByte(c)
			i += 2
		case c == '}':
			return nil, fmt.Errorf("the } at byte %d closes nothing; write }} for a brace that is part of the key", i)
		default:
			h, size, err := parseHole(source[i:])
			if err != nil {
				return nil, fmt.Errorf("the placeholder at byte %d %w", i, err)
			}
			if err := t.addHole(literal.String(), h); err != nil {
				return nil, err
			}
			literal.Reset()
			i += size
		}
	}
	t.literals = append(t.literals, literal.String())
	if strings.HasPrefix(t.Prefix(), Reserved) {
		return nil, fmt.Errorf("starts with %s, where Keepfresh keeps its own keys; use another prefix", Reserved)
	}
	t.reserved = strings.HasPrefix(Reserved, t.Prefix())
	return t, nil
}

// parseHole reads the placeholder at the start of s, and says how many bytes it
// takes.
func parseHole(s string) (h hole, size int, err error) {
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return h, 0, fmt.Errorf("is never closed; write {name}, or {{ for a brace that is part of the key")
	}
	h.name, h.any = strings.CutPrefix(s[1:end], "+")
	return h, end + 1, checkName(h.name)
}

func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("has no name; write {name} or {+name}")
	case len(name) > MaxNameLength:
		return fmt.Errorf("has a name of %d bytes; shorten it to at most %d", len(name), MaxNameLength)
	case name == KeyParam:
		return fmt.Errorf("is called %q, which stands for the whole key in a loader's URL; use another name", KeyParam)
	}
	for i := range len(name) {
		c := name[i]
		lower := 'a' <= c && c <= 'z'
		other := 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
		if !lower && (i == 0 || !other) {
			return fmt.Errorf("is called %q; use a lower-case letter followed by letters, digits or _", name)
		}
	}
	return nil
}

// addHole appends a literal and the placeholder behind it.
func (t *Template) addHole(literal string, h hole) error {
	switch {
	case slices.Contains(t.names, h.name):
		return fmt.Errorf("has two placeholders called %q; give each its own name", h.name)
	case literal == "" && len(t.holes) > 0:
		return fmt.Errorf("nothing separates the placeholders %q and %q, so where one ends is anybody's guess; put text between them",
			t.names[len(t.names)-1], h.name)
	case len(t.holes) == MaxPlaceholders:
		return fmt.Errorf("has more than %d placeholders; use fewer", MaxPlaceholders)
	}
	t.literals = append(t.literals, literal)
	t.holes = append(t.holes, h)
	t.names = append(t.names, h.name)
	return nil
}
