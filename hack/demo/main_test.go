// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == tetherCommand {
		fmt.Fprintln(os.Stderr, tether(os.Args[2:]))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func TestConfigFromEnv(t *testing.T) {
	for name, test := range map[string]struct {
		assets, operator, seconds string
		want                      time.Duration
		wrong                     bool
	}{
		"without DEMO_SECONDS it runs until it is interrupted": {"a", "o", "", 0, false},
		"DEMO_SECONDS are seconds":                             {"a", "o", "60", time.Minute, false},
		"DEMO_SECONDS are a number":                            {"a", "o", "60s", 0, true},
		"no time at all is no demo":                            {"a", "o", "0", 0, true},
		"the control plane is needed":                          {"", "o", "", 0, true},
		"the operator is needed":                               {"a", "", "", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBEBUILDER_ASSETS", test.assets)
			t.Setenv("KEEPFRESH_BIN", test.operator)
			t.Setenv("DEMO_SECONDS", test.seconds)
			c, err := configFromEnv()
			if (err != nil) != test.wrong {
				t.Fatalf("error %v, want one: %v", err, test.wrong)
			}
			if err == nil && c.duration != test.want {
				t.Errorf("duration %s, want %s", c.duration, test.want)
			}
		})
	}
}
