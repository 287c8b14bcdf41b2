// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package redisconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/neterr"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
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
	EgressDenied         Reason = "EgressDenied"
)

// Status is a Reason with a sentence for people.
type Status struct {
	Reason  Reason
	Message string
}

// Demoted says that the server is not the primary, so that the address may mean
// another one by now.
func (s Status) Demoted() bool {
	return s.Reason == ReadOnly && (s.Message == replica || s.Message == orphan)
}

// probeKey is read, never written, to learn whether commands are served.
const probeKey = keyspace.Reserved + "probe"

var probeScript = redis.NewScript("return redis.call('PEXPIRETIME', KEYS[1])")

// Probe asks Redis how it is. runID changes when the server was restarted. A script is
// tried as well: a rebuild that cannot be written is a load for nothing.
func Probe(ctx context.Context, rdb redis.Cmdable) (runID string, s Status) {
	p := rdb.Pipeline()
	info := p.Info(ctx, "server")
	replication := p.Info(ctx, "replication")
	served := p.PExpireTime(ctx, probeKey)
	probeScript.Eval(ctx, p, []string{probeKey})
	probeScript.EvalSha(ctx, p, []string{probeKey}) // it has just been cached
	// Of a connection that could not be set up only Exec tells.
	if _, err := p.Exec(ctx); err != nil {
		switch s := Classify(err); {
		case field(info.Val(), "redis_mode") == "sentinel":
			return "", Status{ConnectionFailed, "this is a Sentinel, not the Redis that it watches; name that in redis.addresses"}
		case s.Reason == VersionUnsupported && info.Err() == nil && served.Err() != nil && Classify(served.Err()).Reason == VersionUnsupported:
			return "", Status{s.Reason, "this is Redis " + field(info.Val(), "redis_version") + " without the command PEXPIRETIME; " + takes}
		case s.Reason == PermissionDenied && s.Message == keyDenied:
			return "", Status{s.Reason, "this Redis user may not touch the keys that begin with keepfresh: (the guards): give it ~keepfresh:*, and the patterns of the keyspaces; " + rights}
		default:
			return "", s
		}
	}
	if field(replication.Val(), "role") == "slave" {
		return "", Status{ReadOnly, replica}
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

// ChannelDenied is the message where a user may not subscribe to a channel. Which it was
// Redis does not say.
const ChannelDenied = "this Redis user may not subscribe to a channel; " + rights

// Classify says what an error of a Redis command tells about the server. Its
// messages do not vary from one try to the next (as ports of our own do), and
// hold no key.
func Classify(err error) Status {
	if text, ok := Reply(err); ok {
		return classifyReply(text)
	}
	var denied *egress.Denied
	if errors.As(err, &denied) {
		return Status{EgressDenied, denied.Error()}
	}
	if kind, cause := neterr.TLS(err); cause != nil {
		return Status{TLSFailed, fmt.Sprintf("no TLS connection: %s; check redis.tls and whether this port speaks TLS", tlsFailure(kind, cause))}
	}
	return Status{ConnectionFailed, "no connection: " + networkFailure(err)}
}

// classifyReply goes by how a reply begins: what follows may hold anything.
func classifyReply(text string) Status {
	for _, c := range replies {
		if strings.HasPrefix(text, c.prefix) {
			return Status{c.reason, cmp.Or(named(c.reason, text), c.message)}
		}
	}
	return Status{ConnectionFailed, fmt.Sprintf("Redis answered with an error that Keepfresh does not know (%s); ask it by redis-cli", code(text))}
}

// code is the word that an error reply begins with, if it is such a word: what follows
// may be anything, and what is named as Redis may be something else.
func code(text string) string {
	word, _, _ := strings.Cut(text, " ")
	if word == "" || len(word) > 16 || strings.ContainsFunc(word, func(r rune) bool { return r < 'A' || r > 'Z' }) {
		return "no code"
	}
	return word
}

// named says which command, or what of a user's rights, a refusal is about, if that can
// be told. Redis 7.0 and later, and Valkey, word it in these ways.
func named(reason Reason, text string) string {
	switch {
	case reason == VersionUnsupported:
		if command := quoted(text, "unknown command "); command != "" {
			return fmt.Sprintf("this Redis has no command %q, which Keepfresh needs: it was renamed or removed there, or this version does not have it yet; %s", command, takes)
		}
	case reason != PermissionDenied:
	case quoted(text, " run the ") != "": // before what follows, which may be the user's name
		command := quoted(text, " run the ")
		return fmt.Sprintf("this Redis user may not run the command %q: give it +%s; %s", command, strings.ToLower(strings.ReplaceAll(command, " ", "|")), rights)
	case strings.Contains(text, "channel"):
		return ChannelDenied
	case strings.Contains(text, " key"):
		return keyDenied
	}
	return ""
}

// quoted is the word in quotes behind a text, if it is the name of a command.
func quoted(text, behind string) string {
	_, rest, _ := strings.Cut(text, behind)
	if rest == "" || !strings.ContainsRune("'`\"", rune(rest[0])) {
		return ""
	}
	word, _, found := strings.Cut(rest[1:], rest[:1])
	if !found || len(word) > 40 || strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(" |.-_", r)
	}) {
		return ""
	}
	return word
}

// tlsFailure says in words that do not vary what TLS had against a connection.
func tlsFailure(kind neterr.Kind, cause error) string {
	switch kind {
	case neterr.NotTLS, neterr.NotTLSButHTTP:
		return "the answer was not TLS"
	case neterr.Expired: // whose own words have the time in them
		return "its certificate has expired, or is not valid yet"
	case neterr.HandshakeRefused:
		if alert, ok := errors.AsType[*net.OpError](cause); ok {
			return fmt.Sprintf("%s: %v", alert.Op, alert.Err)
		}
	}
	return cause.Error()
}

func networkFailure(err error) string {
	switch kind, host := neterr.Network(err); kind {
	case neterr.NoSuchHost:
		return fmt.Sprintf("there is no host %q; check redis.addresses", host)
	case neterr.LookupFailed:
		return fmt.Sprintf("the address of the host %q could not be looked up", host)
	case neterr.TimedOut:
		return "no answer in time; check redis.addresses, network policies, and whether redis.tls fits what the port speaks"
	case neterr.Refused:
		return "it was refused; check redis.addresses, and that Redis runs"
	case neterr.Closed:
		return "it was closed by the other side; perhaps Redis wants TLS (redis.tls), is in protected mode, has reached its maxclients, or has just ended"
	}
	if strings.HasPrefix(err.Error(), "redis: can't parse") {
		return "what answers is not Redis; check redis.addresses"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// Reply is the text of an error that Redis answered with, as opposed to one of the
// connection; false if err is none.
func Reply(err error) (text string, ok bool) {
	reply, ok := errors.AsType[redis.Error](err)
	if !ok {
		return "", false
	}
	return reply.Error(), true
}

// IsReply says that Redis was reached and refused a command: another try over a
// new connection would be told the same.
func IsReply(err error) bool {
	_, ok := Reply(err)
	return ok && !errors.Is(err, redis.Nil)
}

const (
	takes   = "it takes Redis 7.0 or newer, or Valkey"
	replica = "this Redis is a read-only replica; name the primary in redis.addresses"
	orphan  = "this Redis is a replica that has lost its primary; name the primary in redis.addresses"
	rights  = "docs/cachepolicy.md lists the rights that are needed"
	denied  = "this Redis user may not do what a rebuild needs: a command, or a key, is not among its rights; " + rights

	keyDenied = "this Redis user may not touch a key that a rebuild needs: give it ~keepfresh:* and the patterns of the policy's keyspaces; " + rights

	lacks  = "this Redis lacks a command that Keepfresh needs; " + takes
	member = "this Redis is a member of a cluster, whose other members Keepfresh cannot reach yet"
)

// replies are told apart by how they begin. Inside a script two begin otherwise
// than outside.
var replies = []struct {
	prefix  string
	reason  Reason
	message string
}{
	{"WRONGPASS", AuthenticationFailed, "Redis refused the user name or password; check the Secret that redis.auth names"},
	{"NOAUTH", AuthenticationFailed, "Redis wants a password; name a Secret with one in redis.auth.secretRef"},
	{"ERR AUTH", AuthenticationFailed, "Redis refused the password: it has none for this user; remove redis.auth or correct the Secret"},
	{"ERR invalid password", AuthenticationFailed, "Redis refused the password; check the Secret that redis.auth names"},
	{"NOPERM", PermissionDenied, denied},
	{"ERR The user executing the script", PermissionDenied, denied},
	{"ERR unknown command", VersionUnsupported, lacks},
	{"ERR Unknown Redis command called from", VersionUnsupported, lacks},
	{"READONLY", ReadOnly, replica},
	{"MASTERDOWN", ReadOnly, orphan},
	{"NOREPLICAS", ReadOnly, "Redis takes no writes because too few replicas follow it (min-replicas-to-write)"},
	{"MISCONF", ReadOnly, "Redis takes no writes because it cannot save to disk (MISCONF)"},
	{"LOADING", Loading, "Redis is loading its data"},
	{"OOM", OutOfMemory, "Redis is at its maxmemory and evicts nothing; raise maxmemory or set an eviction policy"},
	{"BUSY", ConnectionFailed, "Redis is busy with somebody's script or module command (BUSY)"},
	{"MOVED", ConnectionFailed, member},
	{"ASK", ConnectionFailed, member},
	{"CLUSTERDOWN", ConnectionFailed, "this Redis is a member of a cluster that is down (CLUSTERDOWN)"},
	{"ERR DB index", ConnectionFailed, "this Redis has no such database; check redis.database"},
	{"ERR SELECT is not allowed", ConnectionFailed, "this Redis runs in cluster mode, which has database 0 only; check redis.database"},
	{"ERR max number of clients", ConnectionFailed, "Redis has reached its maxclients"},
}
