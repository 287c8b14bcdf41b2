// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/api/v1alpha1"
)

func TestADurationIsWrittenAsItsPatternTakesItAndReadBack(t *testing.T) {
	pattern := regexp.MustCompile(`^"([0-9]{1,5}(h|m|s|ms)){1,4}"$`)
	for sentence, c := range map[string]struct {
		d    time.Duration
		want string
	}{
		"nothing":                     {0, `"0s"`},
		"seconds and a half":          {1500 * time.Millisecond, `"1s500ms"`},
		"an hour and a half":          {90 * time.Minute, `"1h30m"`},
		"the longest that is allowed": {720 * time.Hour, `"720h"`},
		"all units":                   {time.Hour + time.Minute + time.Second + time.Millisecond, `"1h1m1s1ms"`},
	} {
		written, err := json.Marshal(v1alpha1.Duration{Duration: c.d})
		if err != nil || string(written) != c.want || !pattern.Match(written) {
			t.Errorf("%s: %s, %v; want %s", sentence, written, err, c.want)
		}
		var read v1alpha1.Duration
		if err := json.Unmarshal(written, &read); err != nil || read.Duration != c.d {
			t.Errorf("%s: read back as %v, %v", sentence, read, err)
		}
	}
}

func TestADurationThatAManifestCannotHoldIsNotWritten(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, 1500 * time.Microsecond} {
		if written, err := json.Marshal(v1alpha1.Duration{Duration: d}); err == nil {
			t.Errorf("%s was written as %s", d, written)
		}
	}
}

func TestWhatIsNoDurationIsNotRead(t *testing.T) {
	for _, s := range []string{`"1d"`, `5`, `""`, `"soon"`} {
		if err := json.Unmarshal([]byte(s), new(v1alpha1.Duration)); err == nil {
			t.Errorf("%s was read", s)
		}
	}
}
