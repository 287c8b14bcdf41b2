// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package redisconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

func TestClassifyReplies(t *testing.T) {
	for sentence, c := range map[string]struct {
		reply string
		want  Reason
	}{
		"a wrong password":                {"WRONGPASS invalid username-password pair or user is disabled.", AuthenticationFailed},
		"no password":                     {"NOAUTH Authentication required.", AuthenticationFailed},
		"a password for nobody":           {"ERR AUTH <password> called without any password configured for the default user.", AuthenticationFailed},
		"a command that is not allowed":   {"NOPERM this user has no permissions to run the 'set' command", PermissionDenied},
		"a key that is not allowed":       {"NOPERM this user has no permissions to access one of the keys used as arguments", PermissionDenied},
		"loading":                         {"LOADING Redis is loading the dataset in memory", Loading},
		"out of memory":                   {"OOM command not allowed when used memory > 'maxmemory'.", OutOfMemory},
		"cannot save":                     {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", ReadOnly},
		"too many clients":                {"ERR max number of clients reached", ConnectionFailed},
		"a slot elsewhere":                {"MOVED 3999 127.0.0.1:6381", ConnectionFailed},
		"a slot on the move":              {"ASK 3999 127.0.0.1:6381", ConnectionFailed},
		"busy":                            {"BUSY Redis is busy running a script.", ConnectionFailed},
		"what we do not know":             {"ERR something", ConnectionFailed},
		"a fault named in the middle":     {"ERR bad value: OOM", ConnectionFailed},
		"a fault named as a key would be": {"ERR no such key 'a: NOAUTH b'", ConnectionFailed},
	} {
		t.Run(sentence, func(t *testing.T) {
			err := fmt.Errorf("acquire guards: %w", refusal(c.reply))
			if got := Classify(err); got.Reason != c.want {
				t.Errorf("%q means %s: %s; want %s", c.reply, got.Reason, got.Message, c.want)
			}
			if !IsReply(err) {
				t.Error("it is no reply")
			}
		})
	}
}

func TestClassifyFailuresOfTheNetwork(t *testing.T) {
	for sentence, c := range map[string]struct {
		err  error
		part string
	}{
		"an error that quotes a reply": {errors.New("load key x: NOAUTH: OOM: READONLY"), "no connection: scan"},
		"a host named like a reply":    {&net.DNSError{Name: "x: WRONGPASS", Err: "no such host", IsNotFound: true}, "no host"},
		"name servers that are away":   {&net.DNSError{Name: "x", Err: "read udp 10.0.0.1:5353: i/o timeout", IsTimeout: true}, "could not be looked up"},
		"a deadline":                   {context.DeadlineExceeded, "no answer in time"},
		"the end of a connection":      {io.EOF, "closed by the other side"},
		"its sudden end":               {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "closed by the other side"},
		"no route":                     {&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH, Source: &net.TCPAddr{Port: 4711}}, "dial: no route to host"},
	} {
		t.Run(sentence, func(t *testing.T) {
			got := Classify(fmt.Errorf("scan: %w", c.err))
			if got.Reason != ConnectionFailed || !strings.Contains(got.Message, c.part) || strings.Contains(got.Message, "4711") {
				t.Errorf("%v means %s: %s; want ...%s...", c.err, got.Reason, got.Message, c.part)
			}
			if IsReply(c.err) {
				t.Error("it is a reply")
			}
		})
	}
	if IsReply(redis.Nil) {
		t.Error("nil is taken for an error reply")
	}
}

// What a script meets reads otherwise than what a command meets.
func TestClassifyWhatScriptsAreRefused(t *testing.T) {
	t.Parallel()
	const write = "return redis.call('SET', KEYS[1], 'v')"
	primary := redistest.Start(t)
	host, port, _ := net.SplitHostPort(primary.Addr)
	for sentence, c := range map[string]struct {
		args []string
		conf Config
		want Reason
	}{
		"by its user's rights": {[]string{"--user", "u", "on", "nopass", "~*", "+@all", "-set"}, Config{Username: "u", Password: "x"}, PermissionDenied},
		"by its version":       {[]string{"--rename-command", "SET", ""}, Config{}, VersionUnsupported},
		"by its memory":        {[]string{"--maxmemory", "1"}, Config{}, OutOfMemory},
		"by its role":          {[]string{"--replicaof", host + " " + port}, Config{}, ReadOnly},
		"for want of replicas": {[]string{"--min-replicas-to-write", "1"}, Config{}, ReadOnly},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			c.conf.Address = redistest.Start(t, c.args...).Addr
			err := connect(t, c.conf).Eval(t.Context(), write, []string{"k"}).Err()
			if got := Classify(err); got.Reason != c.want {
				t.Errorf("%v means %s: %s; want %s", err, got.Reason, got.Message, c.want)
			}
		})
	}
}

func TestErrorsTellNeitherKeysNorPasswords(t *testing.T) {
	t.Parallel()
	addr := redistest.Start(t, "--rename-command", "SET", "", "--rename-command", "AUTH", "", "--rename-command", "HELLO", "").Addr
	tell := func(t *testing.T, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "unknown command") {
			t.Errorf("the error is %v", err)
		} else if strings.Contains(err.Error(), password) {
			t.Errorf("the error tells too much: %v", err)
		}
		if s := Classify(err); s.Reason != VersionUnsupported {
			t.Errorf("it means %s: %s", s.Reason, s.Message)
		}
	}
	t.Run("of a command", func(t *testing.T) {
		tell(t, connect(t, Config{Address: addr}).Set(t.Context(), password, password, 0).Err())
	})
	t.Run("of a pipeline and its commands", func(t *testing.T) {
		p := connect(t, Config{Address: addr}).Pipeline()
		ping, set := p.Ping(t.Context()), p.Set(t.Context(), password, password, time.Minute)
		_, err := p.Exec(t.Context())
		tell(t, err)
		tell(t, set.Err())
		if ping.Err() != nil {
			t.Errorf("PING failed: %v", ping.Err())
		}
	})
	for sentence, run := range map[string]func(*redis.Client) error{
		"of a connection's start": func(r *redis.Client) error { return r.Ping(t.Context()).Err() },
		"of a connection's start in a pipeline": func(r *redis.Client) error {
			p := r.Pipeline()
			p.Ping(t.Context())
			_, err := p.Exec(t.Context())
			return err
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			tell(t, run(connect(t, Config{Address: addr, Username: password, Password: password})))
		})
	}
}

func TestARefusalNamesWhatIsMissing(t *testing.T) {
	for reply, want := range map[string]string{
		"NOPERM this user has no permissions to run the 'config|get' command":                                  `may not run the command "config|get": give it +config|get`,
		"NOPERM User keepfresh has no permissions to run the 'set' command":                                    `may not run the command "set": give it +set`,
		"NOPERM this user has no permissions to access one of the keys used as arguments":                      "give it ~keepfresh:* and the patterns",
		"NOPERM User channels has no permissions to run the 'set' command":                                     `may not run the command "set": give it +set`,
		"NOPERM User keys has no permissions to run the 'get' command":                                         `may not run the command "get": give it +get`,
		"NOPERM No permissions to access a key":                                                                "give it ~keepfresh:* and the patterns",
		"ERR The user executing the script can't access at least one of the keys mentioned in the command":     "give it ~keepfresh:* and the patterns",
		"ERR The user executing the script can't run this command or subcommand script: 5645, on @user_script": "a command, or a key, is not among its rights",
		"NOPERM this user has no permissions to access one of the channels used as arguments":                  "may not subscribe to a channel",
		"NOPERM No permissions to access a channel":                                                            "may not subscribe to a channel",
		"ERR unknown command 'EVAL'":                                                                           `no command "EVAL"`,
		"ERR unknown command `INFO`":                                                                           `no command "INFO"`,
		"ERR unknown command 'hunter2 \x00'":                                                                   "lacks a command",
	} {
		if got := Classify(refusal(reply)); !strings.Contains(got.Message, want) || strings.Contains(got.Message, "hunter2") {
			t.Errorf("%q is told as %q, want ...%s...", reply, got.Message, want)
		}
	}
}

// An expired certificate's own words hold the time, with which the status would change
// at each try.
func TestAnExpiredCertificateIsToldInTheSameWordsEachTime(t *testing.T) {
	told := func(now string) Status {
		return Classify(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time " + now + " is after 2026-01-01"}})
	}
	first, second := told("2026-11-27T05:00:00Z"), told("2026-11-27T05:00:01Z")
	if first != second || first.Reason != TLSFailed || !strings.Contains(first.Message, "expired") {
		t.Errorf("it is told as %+v, then as %+v", first, second)
	}
}
