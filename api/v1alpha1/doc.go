// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the contract between the people who run a Redis cache
// and the operator that keeps it fresh: API group cache.keepfresh.dev, kinds
// CachePolicy and KeyExplanation.
//
// It holds the types, their defaults and bounds, the validation that the API
// server itself can decide (schema and CEL, no webhook), and the names of the
// conditions and reasons that the operator reports. What a field means when it
// is left out or overridden is computed in effective.go and nowhere else.
//
// # Reading the rules
//
// The API server bounds what a CEL rule may cost, as estimated from the longest
// strings and lists that the schema allows. That explains some idioms:
//
//   - [x].all(v, ...) names a value, so that it is computed once and not for each
//     of a thousand keys.
//   - [0, 1, ... 15].all(i, ...) goes through a list of which another rule says
//     that it has no more than 16 elements, but the estimate does not know it.
//   - x in [y] is x == y at a price that does not depend on their length.
//   - self.key.replace("{{", "") is a template without literal opening braces:
//     every { that is left opens a placeholder, since literal ones come in pairs.
//   - find(r'^([^{}]|\{\{|\}\})*') is the literal text before the first
//     placeholder, and the same with a $ at its end that behind the last.
//
// Two rules are certain where they refuse, but leave some cases to the
// controller, which reports them as InvalidSpec. That source.keys match their
// template is decided here for templates with one placeholder, and with two
// of the form {name}. That two templates can match the same key is decided here
// where they differ in the placeholders' names only; where each segment between
// colons is literal or a placeholder; where both have one {name}, in the same
// segment, with text around it; and where one has a single {+name} that takes in
// all of the other.
//
// The package imports apimachinery only, so that a program which wants to write
// or read a CachePolicy takes on no more than that.
//
// +kubebuilder:object:generate=true
// +groupName=cache.keepfresh.dev
package v1alpha1
