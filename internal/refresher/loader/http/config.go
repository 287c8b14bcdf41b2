// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/net/http/httpguts"
)

// What a Config that leaves them out gets.
const (
	DefaultTimeout      = 2 * time.Second
	DefaultMaxBodyBytes = 1 << 20
)

// Config says how to load the values of one keyspace by HTTP. It is a loader.Kind. It
// may be printed: header values are redacted.
type Config struct {
	// URL is an RFC 6570 template of level 2: {name} stands for a placeholder of
	// the key's template, percent-encoded, {+name} for the same with reserved
	// characters passed through, and {key} and {+key} for the whole key.
	URL string
	// Timeout bounds the whole call: connecting, waiting for a connection that is
	// free, the answer and all of its body. Default DefaultTimeout.
	Timeout time.Duration
	// Headers are sent with each call. Their values may be secret.
	Headers []Header
	// BatchSize, if it is not 0, has one call ask for up to so many keys, by POST
	// (docs/loader.md). The URL has no placeholder then.
	BatchSize int
	// MaxBodyBytes bounds an answer's body, after decompression: that is a value,
	// or all values of a batch. Default DefaultMaxBodyBytes.
	MaxBodyBytes int64
}

// Header is one header of a call. However it is printed or marshalled, its value
// is not.
type Header struct {
	Name, Value string
}

const redacted = "[redacted]"

// String returns the name, and that there is a value.
func (h Header) String() string { return h.Name + ": " + redacted }

// GoString is String.
func (h Header) GoString() string { return h.String() }

// Format prints String for every verb.
func (h Header) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, h.String()) }

// MarshalText returns String, for loggers that marshal what they are given.
func (h Header) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// withDefaults returns c with what it leaves out.
func (c Config) withDefaults() Config {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxBodyBytes <= 0 {
		c.MaxBodyBytes = DefaultMaxBodyBytes
	}
	return c
}

// forbidden names the headers that net/http writes itself, or that would change
// what an answer means.
var forbidden = map[string]string{
	"Connection":        "connections are managed by Keepfresh",
	"Content-Length":    "Keepfresh says itself what a request holds",
	"Expect":            "Keepfresh says itself what a request holds",
	"If-Match":          "a load must be answered with the value",
	"If-Modified-Since": "a load must be answered with the value",
	"If-None-Match":     "a load must be answered with the value",
	"If-Range":          "a load must be answered with the whole value",
	"Keep-Alive":        "connections are managed by Keepfresh",
	"Proxy-Connection":  "connections are managed by Keepfresh",
	"Range":             "a load must be answered with the whole value",
	"Te":                "connections are managed by Keepfresh",
	"Trailer":           "Keepfresh says itself what a request holds",
	"Transfer-Encoding": "Keepfresh says itself what a request holds",
	"Upgrade":           "connections are managed by Keepfresh",
}

// check refuses a header that cannot be sent, without telling its value.
func (h Header) check(canonical string) error {
	if !httpguts.ValidHeaderFieldName(h.Name) {
		return fmt.Errorf("header %q: the name may hold letters, digits and - only", h.Name)
	}
	if why, ok := forbidden[canonical]; ok {
		return fmt.Errorf("header %s: remove it, %s", canonical, why)
	}
	if !httpguts.ValidHeaderFieldValue(h.Value) {
		return fmt.Errorf("header %s: the value holds a line break or another control character; "+
			"if it comes from a Secret, create that without a trailing newline", canonical)
	}
	if canonical == "Host" && !httpguts.ValidHostHeader(h.Value) {
		return fmt.Errorf("header Host: the value is not a host name")
	}
	return nil
}
