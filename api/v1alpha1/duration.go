// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Duration is a length of time in whole milliseconds, written with the units h,
// m, s and ms, as in 90s or 1h30m. Unlike metav1.Duration it never writes what
// its own pattern refuses, such as 1.5s.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MaxLength=28
// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(h|m|s|ms)){1,4}$`
type Duration struct {
	time.Duration `json:"-"`
}

// String writes d as a manifest does.
func (d Duration) String() string {
	if d.Duration == 0 {
		return "0s"
	}
	var b strings.Builder
	rest := d.Duration
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := rest / u.unit; n != 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			rest %= u.unit
		}
	}
	return b.String()
}

// MarshalJSON writes d as a string. What a manifest cannot hold, a negative
// duration or a part of a millisecond, is an error.
func (d Duration) MarshalJSON() ([]byte, error) {
	if d.Duration < 0 || d.Duration%time.Millisecond != 0 {
		return nil, fmt.Errorf("duration %s is not a whole number of milliseconds from 0", d.Duration)
	}
	return json.Marshal(d.String())
}

// UnmarshalJSON reads a duration as a manifest writes it.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("a duration is a string such as 90s: %w", err)
	}
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("a duration is a string such as 90s: %w", err)
	}
	d.Duration = parsed
	return nil
}
