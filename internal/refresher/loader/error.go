// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package loader

import "time"

// Reason says in one word why a load brought no value. The words are meant for a
// status and for metrics: there are no others, and they do not change.
type Reason string

const (
	// Timeout: the value was not there, whole, when the loader's timeout or the
	// context's deadline passed.
	Timeout Reason = "Timeout"
	// Canceled: the context was cancelled. It says nothing about the loader.
	Canceled Reason = "Canceled"
	// ConnectionFailed: there was no connection, or no usable answer on it.
	ConnectionFailed Reason = "ConnectionFailed"
	// EgressDenied: the operator's rules forbid the address. Nothing was sent.
	EgressDenied Reason = "EgressDenied"
	// TLSFailed: the TLS handshake failed, mostly because of a certificate.
	TLSFailed Reason = "TLSFailed"
	// Redirected: the answer is a redirect. It is not followed, because it would
	// take the headers, and the secrets in them, elsewhere.
	Redirected Reason = "Redirected"
	// UnexpectedStatus: the answer is neither 200, 404, 410 nor a redirect.
	UnexpectedStatus Reason = "UnexpectedStatus"
	// BodyTooLarge: the answer is larger than it may be.
	BodyTooLarge Reason = "BodyTooLarge"
	// BodyBroken: the answer ended early, or cannot be decoded; or what the answer
	// to a batch says of the key makes no sense.
	BodyBroken Reason = "BodyBroken"
	// NotFound: the loader says that the key has no value (404, 410, or notFound in the
	// answer to a batch). The loader works.
	NotFound Reason = "NotFound"
	// KeyFailed: the answer to a batch lists the key under failed.
	KeyFailed Reason = "KeyFailed"
	// NotAnswered: the answer to a batch does not mention the key.
	NotAnswered Reason = "NotAnswered"
	// InvalidKey: the key cannot be asked for safely, so that nothing was sent. Another
	// attempt ends the same way.
	InvalidKey Reason = "InvalidKey"
)

// Reasons are all reasons.
var Reasons = []Reason{
	Timeout, Canceled, ConnectionFailed, TLSFailed, Redirected, UnexpectedStatus, BodyTooLarge, BodyBroken,
	NotFound, InvalidKey, KeyFailed, NotAnswered, EgressDenied,
}

// Error is why a load brought no value. Every error of a load is one.
//
// It holds no header, no part of a body or of a key, and of the address at most the
// host, so that it may be shown to anybody.
type Error struct {
	Reason  Reason
	Message string // a clause that names the host and, if there was one, the status
	// RetryAfter is how long the loader asked to be left alone; at most MaxRetryAfter,
	// and 0 if it did not ask.
	RetryAfter time.Duration
	// MayBeOneKey says of a call for many keys that it may have failed because of a
	// single one, so that the others may be loaded without it. Of a loader that cannot be
	// reached, is overloaded, or asks for credentials it is false.
	MayBeOneKey bool
	// WholeCall says of a call for many keys that it failed as a whole: all keys that it
	// asked for have this very error.
	WholeCall bool
	// Status is the status of an HTTP answer; 0 without one.
	Status int
	// Err is context.Canceled for Canceled, context.DeadlineExceeded for Timeout,
	// and otherwise the system's error number or nil. It is never an error that quotes
	// what was sent and received, as those of net/http do.
	Err error
}

// Error returns the reason and the message.
func (e *Error) Error() string { return string(e.Reason) + ": " + e.Message }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// MaxRetryAfter bounds how long a loader may ask to be left alone.
const MaxRetryAfter = time.Hour
