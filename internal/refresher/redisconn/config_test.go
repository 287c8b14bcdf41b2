// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package redisconn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretsAreNotPrinted(t *testing.T) {
	conf := Config{Address: "h:1", Password: password, TLS: TLS{Key: password}}
	type nested struct {
		TLS     *TLS
		Config  Config
		Pointer *Config
		List    []Secret
		Map     map[string]Secret
		Any     any
	}
	for sentence, v := range map[string]any{
		"a secret":              Secret(password),
		"a pointer to one":      new(Secret(password)),
		"a Config":              conf,
		"a pointer to a Config": &conf,
		"what holds them":       nested{&conf.TLS, conf, &conf, []Secret{password}, map[string]Secret{"x": password}, conf},
		"a map keyed by them":   map[Config]int{conf: 1},
		"an error with one":     fmt.Errorf("x %v: %w", conf, errors.New("y")),
		"TLS":                   conf.TLS,
	} {
		t.Run(sentence, func(t *testing.T) {
			for _, verb := range "vsqxXdtbcoOUeEfFgGz" { // %p and a misused %w do not ask the value
				for _, flags := range []string{"", "+", "#", "-30", "030", " ", "+#", ".3"} {
					wantHidden(t, fmt.Sprintf("%"+flags+string(verb), v))
				}
			}
			wantHidden(t, fmt.Sprint(v)+fmt.Sprintln(v))
			if text, err := json.Marshal(v); err == nil {
				wantHidden(t, string(text))
			}
			var out bytes.Buffer
			slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v, slog.Group("g", "v", v))
			wantHidden(t, out.String())
		})
	}
}

// wantHidden also looks for the hexadecimal forms.
func wantHidden(t *testing.T, text string) {
	t.Helper()
	plain := strings.ToLower(strings.NewReplacer(" ", "", "0x", "", ",", "").Replace(text))
	for _, form := range []string{password, password[:4], fmt.Sprintf("%x", password), strings.Trim(fmt.Sprint([]byte(password)), "[]")} {
		if strings.Contains(text, form) || strings.Contains(plain, form) {
			t.Errorf("the secret is printed: %s", text)
		}
	}
}

func TestAnEmptySecretPrintsAsNothing(t *testing.T) {
	for format, want := range map[string]string{"%v": "", "%s": "", "%q": `""`, "%#v": `""`} {
		if got := fmt.Sprintf(format, Secret("")); got != want {
			t.Errorf("%s prints %q, want %q", format, got, want)
		}
	}
	if got := fmt.Sprintf("%v %s %q %#v", Secret("x"), Secret("x"), Secret("x"), Secret("x")); got != `[redacted] [redacted] "[redacted]" "[redacted]"` {
		t.Errorf("got %s", got)
	}
}

func TestConfigsThatAreEqualShareAClient(t *testing.T) {
	base := Config{Address: "h:1", Database: 1, Username: "u", Password: "p", TLS: TLS{true, "ca", "cert", "key", "name"}}
	for sentence, c := range map[string]struct {
		change       func(*Config)
		sameEndpoint bool
	}{
		"address":     {func(c *Config) { c.Address = "h:2" }, false},
		"database":    {func(c *Config) { c.Database = 2 }, false},
		"user":        {func(c *Config) { c.Username = "v" }, true},
		"password":    {func(c *Config) { c.Password = "q" }, true},
		"TLS":         {func(c *Config) { c.TLS.Enabled = false }, true},
		"CA":          {func(c *Config) { c.TLS.CA = "x" }, true},
		"certificate": {func(c *Config) { c.TLS.Cert = "x" }, true},
		"key":         {func(c *Config) { c.TLS.Key = "x" }, true},
		"server name": {func(c *Config) { c.TLS.ServerName = "x" }, true},
	} {
		t.Run("another "+sentence, func(t *testing.T) {
			other := base
			if other != base {
				t.Error("a copy is not equal")
			}
			c.change(&other)
			if other == base {
				t.Error("the Configs are equal")
			}
			if same := other.Endpoint() == base.Endpoint(); same != c.sameEndpoint {
				t.Errorf("the same endpoint: %v", same)
			}
		})
	}
}
