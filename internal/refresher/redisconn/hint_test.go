// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package redisconn

import (
	"strings"
	"testing"
)

func TestWhiteSpaceInACredentialIsToldWhereItMayMatter(t *testing.T) {
	refused := Status{AuthenticationFailed, "Redis refused the user name or password"}
	for sentence, c := range map[string]struct {
		conf   Config
		status Status
		says   string // behind the message
	}{
		"a password with a line break":     {Config{Password: "s3cret\n"}, refused, "; the password in it begins or ends with white space"},
		"a user name with a blank":         {Config{Username: " s3cret", Password: "x"}, refused, "; the user name in it begins or ends with white space"},
		"both":                             {Config{Username: "s3cret\t", Password: " x"}, refused, "; the user name and the password in it begins or ends with white space"},
		"neither":                          {Config{Username: "s3cret", Password: "a b"}, refused, ""},
		"what has nothing to do with it":   {Config{Password: "s3cret\n"}, Status{Loading, "Redis is loading its data"}, ""},
		"no credentials, and one is asked": {Config{}, refused, ""},
	} {
		got := c.conf.Hint(c.status)
		if want := c.status.Message + c.says; got.Message != want || got.Reason != c.status.Reason {
			t.Errorf("%s: got %q, want %q", sentence, got.Message, want)
		}
		if strings.Contains(got.Message, "s3cret") {
			t.Errorf("%s: it is told: %q", sentence, got.Message)
		}
	}
}

// The dot at the end of a name is for DNS alone.
func TestTLSDoesNotSeeADotAtTheEndOfAHost(t *testing.T) {
	for address, want := range map[string]string{"redis.shop.svc.cluster.local.:6379": "redis.shop.svc.cluster.local", "redis:6379": "redis", "[::1]:6379": "::1"} {
		conf, err := Config{Address: address, TLS: TLS{Enabled: true}}.tls()
		if err != nil || conf.ServerName != want {
			t.Errorf("%s: %q, %v", address, conf.ServerName, err)
		}
	}
}
