// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package human writes values as people read them.
package human

import (
	"strings"
	"time"
)

// Duration is a length of time without the zeros that time.Duration ends it with:
// 12.4s, 1m30s, 1h.
func Duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// About is a length of time, rounded to what is of use: to a millisecond below a
// second, to a tenth of a second below a minute, else to a second.
func About(d time.Duration) string {
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Millisecond)
	}
	return Duration(d)
}
