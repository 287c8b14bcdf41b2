// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"iter"
	"slices"
	"strings"
)

// Index finds the templates that match a key. The templates are grouped by their
// literal prefix, so that a lookup costs one map probe per distinct length
// of prefix, and then only asks templates whose prefix the key has.
//
// The zero Index is empty and ready for use. Find and the other readers may run
// concurrently with each other, not with Add.
type Index[T any] struct {
	groups  map[string][]entry[T] // by literal prefix
	lengths []int                 // of the prefixes, each once, longest first
	common  string                // the literal prefix of all
	count   int
}

type entry[T any] struct {
	template *Template
	value    T
}

// Add puts a template into the index, with a value that Find yields for it.
func (x *Index[T]) Add(t *Template, v T) {
	prefix := t.Prefix()
	if x.groups == nil {
		x.groups = make(map[string][]entry[T])
	}
	x.groups[prefix] = append(x.groups[prefix], entry[T]{template: t, value: v})
	if at, found := slices.BinarySearchFunc(x.lengths, len(prefix), longestFirst); !found {
		x.lengths = slices.Insert(x.lengths, at, len(prefix))
	}
	if x.count == 0 {
		x.common = prefix
	}
	x.common = x.common[:commonLength(x.common, prefix)]
	x.count++
}

func longestFirst(a, b int) int { return b - a }

func commonLength(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// Len returns how many templates the index has.
func (x *Index[T]) Len() int { return x.count }

// Find yields every template that matches the key, with its value: those with
// a longer literal prefix first, and among equals those that were added first.
// Ranging over it allocates nothing.
func (x *Index[T]) Find(key string) iter.Seq2[*Template, T] {
	return func(yield func(*Template, T) bool) { x.find(key, yield) }
}

func (x *Index[T]) find(key string, yield func(*Template, T) bool) {
	if !strings.HasPrefix(key, x.common) {
		return
	}
	for _, n := range x.lengths {
		if n > len(key) {
			continue
		}
		for _, e := range x.groups[key[:n]] {
			if e.template.Matches(key) && !yield(e.template, e.value) {
				return
			}
		}
	}
}

// CommonPrefix returns the longest prefix that every key that matches any of the
// templates has. It is "" for an empty index.
func (x *Index[T]) CommonPrefix() string { return x.common }

// Pattern returns the pattern for SCAN's MATCH that lets every key through that
// can match a template: CommonPrefix, escaped, and '*'. For an empty index, for
// which there is nothing to scan, it is "".
func (x *Index[T]) Pattern() string {
	if x.count == 0 {
		return ""
	}
	return EscapeGlob(x.common) + "*"
}

// EscapeGlob returns the glob-style pattern of Redis that matches exactly s.
func EscapeGlob(s string) string {
	const special = `*?[]\^-`
	if !strings.ContainsAny(s, special) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(special, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
