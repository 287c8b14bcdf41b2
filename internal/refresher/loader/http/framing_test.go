// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// framings are the ways in which the end of a body can be told.
var framings = map[string]func(head, body string) string{
	"with a length": func(head, body string) string {
		return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
	},
	"in chunks": func(head, body string) string { // of three bytes
		var b strings.Builder
		b.WriteString(head + "Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			n := min(3, len(body))
			_, _ = fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		return b.String() + "0\r\n\r\n"
	},
	"until the connection ends": func(head, body string) string { return head + "\r\n" + body },
}

// One answer, one verdict: by either version, however its body is framed, and (see
// TestByNetHTTP) by either transport.
func TestAnAnswerIsJudgedTheSameHoweverItIsFramed(t *testing.T) {
	zipped := string(zip([]byte("value")))
	for sentence, c := range map[string]struct {
		headers string
		body    string
		want    string // the value, or else the reason of the failure
	}{
		"plain":                                {"", "value", "value"},
		"plain and empty":                      {"", "", ""},
		"gzip":                                 {"Content-Encoding: gzip\r\n", zipped, "value"},
		"gzip in capitals":                     {"CONTENT-ENCODING: \t GZIP  \r\n", zipped, "value"},
		"gzip by its old name":                 {"Content-Encoding: x-gzip\r\n", zipped, "value"},
		"gzip of nothing":                      {"Content-Encoding: gzip\r\n", string(zip(nil)), ""},
		"gzip that is empty":                   {"Content-Encoding: gzip\r\n", "", ""},
		"gzip that is not":                     {"Content-Encoding: gzip\r\n", "value", "BodyBroken"},
		"gzip that is cut":                     {"Content-Encoding: gzip\r\n", zipped[:len(zipped)-1], "BodyBroken"},
		"gzip that is cut in its head":         {"Content-Encoding: gzip\r\n", zipped[:5], "BodyBroken"},
		"gzip with something behind it":        {"Content-Encoding: gzip\r\n", zipped + "more", "BodyBroken"},
		"identity":                             {"Content-Encoding: identity\r\n", "value", "value"},
		"identity in capitals":                 {"Content-Encoding: IDENTITY\r\n", "value", "value"},
		"an empty encoding":                    {"Content-Encoding:\r\n", "value", "value"},
		"empty members of a list":              {"Content-Encoding: , ,\r\n", "value", "value"},
		"br":                                   {"Content-Encoding: br\r\n", "value", "BodyBroken"},
		"br that is empty":                     {"Content-Encoding: br\r\n", "", "BodyBroken"},
		"identity, gzip":                       {"Content-Encoding: identity, gzip\r\n", zipped, "value"},
		"gzip, gzip":                           {"Content-Encoding: gzip, gzip\r\n", string(zip([]byte(zipped))), "BodyBroken"},
		"gzip, br":                             {"Content-Encoding: gzip, br\r\n", zipped, "BodyBroken"},
		"identity, br":                         {"Content-Encoding: identity, br\r\n", "value", "BodyBroken"},
		"gzip and gzip on two lines":           {"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", string(zip([]byte(zipped))), "BodyBroken"},
		"gzip and br on two lines":             {"Content-Encoding: gzip\r\ncontent-encoding: br\r\n", zipped, "BodyBroken"},
		"identity and br on two lines":         {"Content-Encoding: identity\r\nContent-Encoding: br\r\n", "value", "BodyBroken"},
		"identity and gzip on two lines":       {"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", zipped, "value"},
		"an empty one and br on two lines":     {"Content-Encoding:\r\nContent-Encoding: br\r\n", "value", "BodyBroken"},
		"an empty one and gzip on two lines":   {"Content-Encoding: \r\nContent-Encoding: gzip\r\n", zipped, "value"},
		"gzip and an empty one on two lines":   {"Content-Encoding: gzip\r\nContent-Encoding:\r\n", zipped, "value"},
		"more than is asked for":               {"", strings.Repeat("x", 5000), "BodyTooLarge"},
		"more than is asked for, decompressed": {"Content-Encoding: gzip\r\n", string(zip(make([]byte, 5000))), "BodyTooLarge"},
	} {
		for framing, frame := range framings {
			for _, version := range []string{"HTTP/1.0", "HTTP/1.1"} {
				t.Run(sentence+" "+framing+" by "+version, func(t *testing.T) {
					t.Parallel()
					wanted := []string{c.want}
					if version == "HTTP/1.0" && framing == "in chunks" { // faulty: RFC 9112, 6.1
						wanted = []string{"BodyBroken", "BodyTooLarge"}
					}
					base := answer(t, frame(version+" 200 OK\r\n"+c.headers, c.body))
					value, err := newLoader(t, base, Config{MaxBodyBytes: 1000}).Load(t.Context(), "p:7")
					got := string(value)
					if err != nil {
						got = string(asError(t, err).Reason)
					}
					if !slices.Contains(wanted, got) {
						t.Errorf("got %q (%v), want %q", got, err, wanted)
					}
				})
			}
		}
	}
}

// What was asked for by the policy's own header is stored as it comes.
func TestAnEncodingThatThePolicyAsksForIsTheValue(t *testing.T) {
	zipped := string(zip([]byte("value")))
	for accepted, want := range map[string]string{"gzip": zipped, "identity": "BodyBroken", " Identity ": "BodyBroken"} {
		base := answer(t, framings["with a length"]("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n", zipped))
		value, err := newLoader(t, base, Config{Headers: []Header{{Name: "accept-encoding", Value: accepted}}}).Load(t.Context(), "p:7")
		got := string(value)
		if err != nil {
			got = string(asError(t, err).Reason)
		}
		if got != want {
			t.Errorf("asked for %q: got %q (%v), want %q", accepted, got, err, want)
		}
	}
}

func TestTheLongestOfSeveralRetryAftersCounts(t *testing.T) {
	base := answer(t, "HTTP/1.1 429 Too Many\r\nRetry-After:\r\nretry-after: 5\r\nRetry-After: \t120 \r\nContent-Length: 0\r\n\r\n")
	_, err := newLoader(t, base, Config{}).Load(t.Context(), "p:7")
	if e := asError(t, err); e.RetryAfter != 2*time.Minute {
		t.Errorf("%s, want 2m", e.RetryAfter)
	}
}

func TestWhatLooksLikeChunks(t *testing.T) {
	for body, want := range map[string]bool{
		"3\r\nabc\r\n0\r\n\r\n": true, "A;x=y\r\n0123456789\r\nand so on": true, "0\r\n\r\n": true,
		"": false, "value": false, "3\r\nab": false, "3\r\nabcd\r\n": false, "200\r\nOK\r\n": false, "\r\n\r\n": false, "123456789\r\n": false,
	} {
		if chunked([]byte(body)) != want {
			t.Errorf("%q: want %v", body, want)
		}
	}
}
