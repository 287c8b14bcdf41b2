// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package redisconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Reason is the state of a Redis in one word.
type Reason string

// The states. All but Connected and NotConnected are faults.
const (
	NotConnected         Reason = "NotConnected" // not tried yet
	Connected            Reason = "Connected"
	ConnectionFailed     Reason = "ConnectionFailed"
	AuthenticationFailed Reason = "AuthenticationFailed"
	TLSFailed            Reason = "TLSFailed"
	PermissionDenied     Reason = "PermissionDenied"
	VersionUnsupported   Reason = "VersionUnsupported"
	ReadOnly             Reason = "ReadOnly"
	Loading              Reason = "Loading"
	OutOfMemory          Reason = "OutOfMemory"
)

// Status is a Reason with a sentence for people.
type Status struct {
	Reason  Reason
	Message string
}

// probeKey is read, never written, to learn whether commands are served.
const probeKey = "keepfresh:probe"

// Probe asks Redis how it is. runID changes when the server was restarted.
func Probe(ctx context.Context, rdb redis.Cmdable) (runID string, s Status) {
	p := rdb.Pipeline()
	info := p.Info(ctx, "server")
	replication := p.Info(ctx, "replication")
	served := p.PExpireTime(ctx, probeKey)
	_, _ = p.Exec(ctx)
	for _, err := range []error{info.Err(), replication.Err(), served.Err()} {
		if err != nil {
			return "", Classify(err)
		}
	}
	if field(replication.Val(), "role") == "slave" {
		return "", Status{ReadOnly, "this Redis is a replica; name the primary in redis.addresses"}
	}
	return field(info.Val(), "run_id"), Status{Connected, "Redis " + field(info.Val(), "redis_version") + " answers"}
}

func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Classify says what an error of a Redis command tells about the server.
func Classify(err error) Status {
	text := err.Error()
	for _, c := range replies {
		if strings.HasPrefix(text, c.prefix) || strings.Contains(text, ": "+c.prefix) {
			return Status{c.reason, c.message}
		}
	}
	var (
		record    tls.RecordHeaderError
		alert     tls.AlertError
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
	)
	if errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &verify) ||
		errors.As(err, &authority) || errors.As(err, &host) {
		return Status{TLSFailed, fmt.Sprintf("no TLS connection: %v; check redis.tls and whether this port speaks TLS", err)}
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		return Status{ConnectionFailed, "Redis answered with an error: " + text}
	}
	return Status{ConnectionFailed, "no connection: " + text}
}

// IsReply says that Redis was reached and refused a command: another try over a
// new connection would be told the same.
func IsReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && !errors.Is(err, redis.Nil)
}

var replies = []struct {
	prefix  string
	reason  Reason
	message string
}{
	{"WRONGPASS", AuthenticationFailed, "Redis refused the user name or password; check the Secret that redis.auth names"},
	{"NOAUTH", AuthenticationFailed, "Redis wants a password; name a Secret with one in redis.auth.secretRef"},
	{"ERR AUTH", AuthenticationFailed, "Redis refused the password: it has none for this user; remove redis.auth or correct the Secret"},
	{"ERR invalid password", AuthenticationFailed, "Redis refused the password; check the Secret that redis.auth names"},
	{"NOPERM", PermissionDenied, "this Redis user may not do what a rebuild needs; docs/cachepolicy.md lists the commands to allow"},
	{"ERR unknown command", VersionUnsupported, "this Redis lacks a command that Keepfresh needs; it takes Redis 7.0 or newer, or Valkey"},
	{"READONLY", ReadOnly, "this Redis is a read-only replica; name the primary in redis.addresses"},
	{"LOADING", Loading, "Redis is loading its data"},
	{"OOM", OutOfMemory, "Redis is at its maxmemory and evicts nothing; raise maxmemory or set an eviction policy"},
	{"MISCONF", ReadOnly, "Redis takes no writes because it cannot save to disk (MISCONF)"},
	{"ERR DB index", ConnectionFailed, "this Redis has no such database; check redis.database"},
	{"ERR max number of clients", ConnectionFailed, "Redis has reached its maxclients"},
}
