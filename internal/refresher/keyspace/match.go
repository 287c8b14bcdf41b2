// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspace

import "strings"

// Matches says whether the template describes the key. It allocates nothing.
func (t *Template) Matches(key string) bool {
	text, ok := t.trim(key)
	if !ok {
		return false
	}
	switch len(t.holes) {
	case 0:
		return true // trim compared the whole key
	case 1:
		return t.holes[0].any || strings.IndexByte(text, ':') < 0
	}
	var ends [MaxPlaceholders]int
	return t.split(text, &ends)
}

// Match takes the key apart: it appends the placeholders' values to params, in
// the order of Names, and says whether the template describes the key. The
// values are parts of key, not copies. With enough room in params it allocates
// nothing.
//
// Where a key can be taken apart in several ways, the first placeholder takes as
// little as it can, then the second, and so on: "{+a}:{+b}" takes "1:2:3" apart
// into "1" and "2:3".
func (t *Template) Match(key string, params []string) ([]string, bool) {
	text, ok := t.trim(key)
	if !ok {
		return params, false
	}
	var ends [MaxPlaceholders]int
	if !t.split(text, &ends) {
		return params, false
	}
	start := 0
	for i := range t.holes {
		params = append(params, text[start:ends[i]])
		start = ends[i] + len(t.literals[i+1])
	}
	return params, true
}

// trim cuts the literals at both ends off the key, or says that it does not have
// them, has too little between them, or is reserved.
func (t *Template) trim(key string) (text string, ok bool) {
	n := len(t.holes)
	first, last := t.literals[0], t.literals[n]
	if n == 0 {
		return "", key == first
	}
	if len(key) <= len(first)+len(last) || // a placeholder has at least one byte
		!strings.HasPrefix(key, first) || !strings.HasSuffix(key, last) ||
		t.reserved && strings.HasPrefix(key, Reserved) {
		return "", false
	}
	return key[len(first) : len(key)-len(last)], true
}

// split finds where each placeholder ends in text, which is what lies between the
// first and the last literal.
//
// It is the greedy algorithm for globs: every placeholder ends at the first place
// where the literal behind it stands. Two observations make that exact:
//
//   - A {name} never gains by reaching over the first such place. If the literal
//     holds no ':', what follows can take over those bytes just as well; if it
//     does, the {name} would have to swallow that ':'.
//   - When a {name} meets a ':' before its literal, only a {+name} to its left can
//     help, by ending later, and only the nearest one: it can take over whatever
//     an earlier one would have.
//
// Both follow from this: take the template for an automaton, in which each byte
// of the key moves one place on or none. Of two ways through it, one cannot
// overtake the other without being in the same place at the same byte, where it
// might as well have changed over. So who is ahead stays ahead, and first is best.
//
// As all ends only ever move to the right, each placeholder remembers what it found,
// and searches no byte twice: the time is O(placeholders x length), however often
// it goes back.
func (t *Template) split(text string, ends *[MaxPlaceholders]int) bool {
	var colons [MaxPlaceholders]int // next ':' at or after the placeholder's start
	last := len(t.holes) - 1
	retry := -1 // nearest {+name} to the left
	start := 0
	for i := 0; i <= last; {
		if !t.findEnd(text, i, start+1, ends) {
			return false // a later start finds nothing either
		}
		if t.holes[i].any {
			retry = i
		} else if nextColon(text, start, &colons[i]) < ends[i] {
			if retry < 0 {
				return false
			}
			i = retry
			start = ends[i] // so that it ends later than it did
			continue
		}
		start = ends[i] + len(t.literals[i+1])
		i++
	}
	return true
}

// findEnd moves the end of placeholder i to the first place at or after from where
// the literal behind it stands; behind the last placeholder that is the end of the
// text. The end that is known from before holds if it is not before from.
func (t *Template) findEnd(text string, i, from int, ends *[MaxPlaceholders]int) bool {
	if from > len(text) {
		return false
	}
	if i == len(t.holes)-1 {
		ends[i] = len(text)
		return true
	}
	if ends[i] < from {
		at := strings.Index(text[from:], t.literals[i+1])
		if at < 0 {
			return false
		}
		ends[i] = from + at
	}
	return true
}

// nextColon returns the place of the first ':' at or after from, or the text's
// length. The place that is known from before holds if it is not before from.
func nextColon(text string, from int, known *int) int {
	if *known < from || *known == 0 {
		at := strings.IndexByte(text[from:], ':')
		if at < 0 {
			at = len(text) - from
		}
		*known = from + at
	}
	return *known
}
