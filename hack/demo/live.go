// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// headerEvery is after how many lines the header is repeated.
const headerEvery = 20

// live prints a line each second. It is plain text, so that it reads the same in
// a terminal, a file and a CI log.
type live struct {
	lines  int
	last   sample
	silent bool // the API server's silence has been told
}

// sample is what there is to say at a moment.
type sample struct {
	at       time.Time
	overview overview
	reads    tally // since the start, or since the first fill once there was one
	total    int64 // reads since the start
	loads    int64 // the operator's, since the start
}

const (
	liveHeader = "TIME      READY    KEYS   FRESH  READS/S  MISSES  SLOW READS  LOADS/S  LOADER CALLS"
	liveLine   = "%s  %5s  %6s  %6s  %7s  %6s  %10s  %7s  %12s"
)

// next returns the lines to print for a sample.
func (l *live) next(s sample) string {
	text := ""
	if l.lines%headerEvery == 0 {
		text = "\n" + liveHeader + "\n"
	}
	l.lines++
	reads, loads := "-", "-"
	if seconds := s.at.Sub(l.last.at).Seconds(); !l.last.at.IsZero() && seconds > 0 {
		reads = number(int64(float64(s.total-l.last.total)/seconds + 0.5))
		loads = number(int64(float64(s.loads-l.last.loads)/seconds + 0.5))
	}
	l.last = s
	ready, keys := "?", "?"
	if s.overview.policies > 0 {
		ready, keys = fmt.Sprintf("%d/%d", s.overview.ready, s.overview.policies), number(s.overview.keys)
	}
	return text + fmt.Sprintf(liveLine, s.at.Format(time.TimeOnly), ready, keys,
		s.overview.freshShare(), reads, number(s.reads.misses), number(s.reads.slow), loads, number(s.loads)) + "\n"
}

// number prints n with its thousands apart.
func number(n int64) string {
	if n < 0 {
		return "-" + number(-n)
	}
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", number(n/1000), n%1000)
}
