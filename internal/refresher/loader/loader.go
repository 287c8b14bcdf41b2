// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package loader is the contract between rebuilds and where values come from. A Source
// loads the values of one keyspace; package http has the one kind that there is. A new
// kind is a package of its own with a Config that implements Kind, and whoever makes
// plans (controllers/plan.go) translates a manifest into it.
//
//	Kind ──Open──► Source ◄── Split: singles out the keys for which calls fail
package loader

import (
	"context"
	"fmt"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
)

// Source loads the values of one keyspace. It is safe for concurrent use. A load ends
// with its own timeout or with its context, and harms nobody else however slow, broken
// or hostile the other side is: memory, connections and goroutines are bounded.
type Source interface {
	// Load loads up to BatchSize keys, none of them twice, by at most one call, and
	// returns what became of each, in their order.
	Load(ctx context.Context, keys []string) []Result

	// BatchSize is how many keys one call may be for: at least 1.
	BatchSize() int

	// Describe tells what a load of the key would ask for, without asking.
	Describe(key string) Request

	// Close ends connections that are idle, and has those in use end with their calls.
	Close()
}

// Request is what a load of a key asks for. It holds no secret.
type Request struct {
	Method  string // such as GET
	Address string // such as a URL
	Problem string // why no load of this key is sent; empty if one is
}

// Kind is how the values of a keyspace are loaded, in plain values: two Kinds that are
// equal by reflect.DeepEqual load alike. Printing one shows no secret.
type Kind interface {
	// Open makes the source of the keys that match a template. It connects to nothing.
	// Its errors say what to change, and hold no secret.
	Open(keys *keyspace.Template, env Environment) (Source, error)
}

// Environment is what a source is given by its host. The zero Environment has no rules
// and no bounds.
type Environment struct {
	MaxConcurrent int           // calls at once, at most; a source may size its connections by it
	Egress        *egress.Rules // where to it may connect; anywhere if nil
	Room          *Room         // for large answers; without end if nil
	NetHTTP       bool          // HTTP is spoken by net/http alone, not by a client of ours
}

// Result is what became of one key.
type Result struct {
	Value []byte // the caller's; not nil if Err is
	// Err says why there is no value. Keys that failed with one call, as opposed to each
	// by itself, share one *Error.
	Err *Error
	// Hold is to be released when the value is not held any more. It may be nil.
	Hold *Hold
}

// Failure is Err as an error, nil if there is none.
func (r Result) Failure() error {
	if r.Err == nil {
		return nil
	}
	return r.Err
}

// FailAll gives all results one failure: that of the call that they share.
func FailAll(results []Result, failure *Error) {
	for i := range results {
		results[i] = Result{Err: failure}
	}
}

// Failf makes an Error.
func Failf(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}
