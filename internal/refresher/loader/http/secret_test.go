// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

const secret = "s3cret"

// printed returns everything that printing v in any usual way gives.
func printed(v any) string {
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	_ = json.NewEncoder(&b).Encode(v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("json", "v", v)
	return b.String()
}

func wantNoSecret(t *testing.T, v any) {
	t.Helper()
	text := printed(v)
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("%d", []byte(secret))} {
		if strings.Contains(text, strings.Trim(form, "[]")) {
			t.Errorf("shows the secret:\n%s", text)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	header := Header{Name: "Authorization", Value: secret}
	cfg := Config{URL: "http://h/{id}", Headers: []Header{header}}
	l := newLoader(t, "http://h", cfg)
	for name, v := range map[string]any{
		"a header": header, "its address": &header, "a config": cfg, "the config's address": &cfg,
		"headers": cfg.Headers, "a loader": l, "what it points to": *l,
	} {
		t.Run(name, func(t *testing.T) { wantNoSecret(t, v) })
	}
	if got := fmt.Sprintf("%+v", cfg); !strings.Contains(got, "Authorization: [redacted]") {
		t.Errorf("the header is not named: %s", got)
	}
	if got := l.String(); got != "http://h" {
		t.Errorf("the loader is called %q", got)
	}
}

func TestHeadersAreRefused(t *testing.T) {
	for sentence, c := range map[string]struct {
		header Header
		says   string
	}{
		"no name":                        {Header{"", secret}, `""`},
		"a name with a space":            {Header{"X Y", secret}, "X Y"},
		"a name with a line break":       {Header{"X\r\nY", secret}, "name"},
		"a name with a colon":            {Header{"X:", secret}, "X:"},
		"a value with a newline":         {Header{"Authorization", secret + "\n"}, "Authorization"},
		"a value with another header":    {Header{"authorization", secret + "\r\nX: y"}, "Authorization"},
		"a value with NUL":               {Header{"Authorization", secret + "\x00"}, "Authorization"},
		"a host that is none":            {Header{"Host", secret + " /"}, "Host"},
		"a length":                       {Header{"content-length", secret}, "Content-Length"},
		"a range, for part of the value": {Header{"Range", secret}, "Range"},
		"a condition":                    {Header{"If-None-Match", secret}, "If-None-Match"},
		"a connection option":            {Header{"Connection", secret}, "Connection"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := Config{URL: "http://h/{id}", Headers: []Header{c.header}}.Open(newLoader(t, "http://h", Config{}).urls.keys, loader.Environment{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want an error that says %q", err, c.says)
			}
			wantNoSecret(t, err)
		})
	}
}

// TestErrorsQuoteNothing has the transport fail with errors that do.
func TestErrorsQuoteNothing(t *testing.T) {
	quote := errors.New("net/http: something about " + secret)
	for sentence, c := range map[string]struct {
		err  error
		want loader.Reason
		says string
	}{
		"anything":                     {quote, loader.ConnectionFailed, "no usable HTTP answer"},
		"a URL error":                  {&url.Error{Op: "Get", URL: "http://h/" + secret, Err: quote}, loader.ConnectionFailed, ""},
		"no such host":                 {&net.OpError{Op: "dial", Err: &net.DNSError{Err: secret, Name: secret, IsNotFound: true}}, loader.ConnectionFailed, "no such host"},
		"no name server":               {&net.DNSError{Err: secret, IsTimeout: true}, loader.ConnectionFailed, "name server"},
		"a connection that takes long": {&net.OpError{Op: "dial", Err: timeoutError{}}, loader.ConnectionFailed, "does not take"},
		"an alert":                     {&net.OpError{Op: "remote error", Err: quote}, loader.TLSFailed, "refused"},
		"an error of TLS":              {errors.New("tls: " + secret), loader.TLSFailed, "handshake"},
		"a handshake that takes long":  {errors.New("net/http: TLS handshake timeout"), loader.TLSFailed, "handshake"},
		"what is not TLS":              {tls.RecordHeaderError{Msg: secret}, loader.TLSFailed, "does not speak TLS"},
		"a certificate":                {&tls.CertificateVerificationError{Err: quote}, loader.TLSFailed, "cannot be verified"},
		"another's cancellation":       {context.Canceled, loader.ConnectionFailed, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			l := newLoader(t, "http://h", Config{}, withTransport(transportFunc(func(*http.Request) (*http.Response, error) {
				return nil, c.err
			})))
			_, err := l.Load(t.Context(), "p:"+secret)
			wantReason(t, err, c.want)
			if e := asError(t, err); !strings.Contains(e.Message, c.says) {
				t.Errorf("message %q, want %q", e.Message, c.says)
			}
			wantNoSecret(t, err)
		})
	}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return secret }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return false }

func TestAnswersAreNotQuoted(t *testing.T) {
	for _, status := range []int{200, 204, 302, 404, 429, 500} {
		l := overHTTP1(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/"+r.Header.Get("Authorization"))
			w.Header().Set("Retry-After", r.Header.Get("Authorization"))
			w.Header().Set("Content-Encoding", r.Header.Get("Authorization"))
			w.WriteHeader(status)
			_, _ = w.Write([]byte(r.Header.Get("Authorization")))
		}, Config{Headers: []Header{{"Authorization", secret}}})
		_, err := l.Load(t.Context(), "p:"+secret)
		wantNoSecret(t, asError(t, err))
	}
}
