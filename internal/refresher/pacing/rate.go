// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package pacing

import (
	"math"
	"time"
)

// rateWindow is the time over which a rate is measured; older events weigh less.
const rateWindow = time.Minute

// Rate is how often something happened per second in the last minute or so, by a
// counter that is read now and then. The zero Rate begins with its first reading.
type Rate struct {
	began, at time.Time
	counter   int64
	weighted  float64
}

// Update takes in a reading of the counter.
func (p *Rate) Update(counter int64, now time.Time) {
	if p.began.IsZero() {
		p.began, p.at, p.counter = now, now, counter
		return
	}
	passed := now.Sub(p.at).Seconds() / rateWindow.Seconds()
	if passed <= 0 {
		return
	}
	kept := math.Exp(-passed)
	p.weighted = p.weighted*kept + float64(counter-p.counter)*(1-kept)/passed
	p.at, p.counter = now, counter
}

// PerSecond is the rate. In the first minute, it is that of the time since it began.
func (p *Rate) PerSecond() float64 {
	passed := p.at.Sub(p.began).Seconds() / rateWindow.Seconds()
	if passed <= 0 {
		return 0
	}
	return p.weighted / rateWindow.Seconds() / (1 - math.Exp(-passed))
}
