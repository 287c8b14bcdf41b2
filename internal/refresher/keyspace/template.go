// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keyspace says which Redis keys belong together: a Template such as
// "product:{id}" describes a family of keys and takes a key apart into the
// parameters that its loader needs, Overlap tells whether two templates claim
// the same key, and an Index finds the templates of a key among thousands.
//
// # Templates
//
//	product:{id}          {id} is one or more bytes other than ':'
//	page:{+path}          {+path} is one or more bytes, whatever they are
//	user:{{{id}}}:profile {{ and }} are braces, here a cluster hash tag
//
// Keys are bytes, not text: nothing here assumes UTF-8.
//
// # What it promises
//
// Matching is exact, allocates nothing and takes time linear in the key's
// length whatever the key is, because keys come from applications and their
// users. Keys that start with [Reserved] belong to Keepfresh itself and match no
// template, so nothing that is built on a template can touch a guard.
package keyspace

// Reserved is the prefix of Keepfresh's own keys in Redis. No template matches a
// key that starts with it.
const Reserved = "keepfresh:"

// KeyParam is the name under which loaders know the whole key; no placeholder
// may be called so.
const KeyParam = "key"

// Bounds on a template. They keep a template readable, and the work and the
// stack that matching needs constant.
const (
	MaxLength       = 256 // bytes of the template as written
	MaxNameLength   = 32  // bytes of a placeholder's name
	MaxPlaceholders = 16
)

// Template describes a family of keys. It is immutable and safe for concurrent
// use. Parse makes one.
type Template struct {
	source string
	// A key is literals[0] hole[0] literals[1] ... hole[n-1] literals[n]. Only
	// the first and the last literal may be empty.
	literals []string
	holes    []hole
	names    []string
	// reserved says that a key could match and start with Reserved, so that
	// matching has to look.
	reserved bool
}

// hole is a placeholder.
type hole struct {
	name string
	any  bool // {+name}: takes ':' too
}

// takes says whether the hole may contain the byte c.
func (h hole) takes(c byte) bool { return h.any || c != ':' }

// String returns the template as it was written.
func (t *Template) String() string { return t.source }

// Prefix returns the literal text before the first placeholder, unescaped; for a
// template without placeholders that is the one key that it matches.
func (t *Template) Prefix() string { return t.literals[0] }

// Names returns the placeholders' names in the order in which they stand, which
// is the order of the values that Match yields. The caller must not change it.
func (t *Template) Names() []string { return t.names }

// Param returns the position of the named placeholder in Names, and whether
// there is one.
func (t *Template) Param(name string) (int, bool) {
	for i, n := range t.names {
		if n == name {
			return i, true
		}
	}
	return 0, false
}

// IsLiteral says that the template has no placeholder: it matches one key.
func (t *Template) IsLiteral() bool { return len(t.holes) == 0 }
