// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package redisconn makes clients for Redis, and tells in a word how a Redis is.
package redisconn

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/keepfresh/keepfresh/internal/egress"
)

// Secret is a string that no formatting verb and no encoder prints. The exceptions are
// those that do not call its methods: %p and %w (go vet finds both), and printing a struct
// that holds it, or a Config, in a field that is not exported.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// Format hides the secret from every verb: from %d too, which would print it in
// its complaint that the verb does not fit.
func (s Secret) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), s.String())
}

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Config says how to reach one Redis. Equal Configs can share a client.
type Config struct {
	Address  string // host:port
	Database int
	Username string
	Password Secret
	TLS      TLS

	// MaxAge is for how long a connection is used, give or take a fifth
	// (DefaultMaxAge if zero).
	MaxAge time.Duration
}

// TLS says how to secure a connection. CA, Cert and Key are PEM.
type TLS struct {
	Enabled    bool
	CA         string // the system's roots if empty
	Cert       string
	Key        Secret
	ServerName string // the address' host if empty
}

// Format prints a Config as any struct. It is here for pointers to one, which a
// verb that does not fit them would otherwise print secrets and all.
func (c Config) Format(f fmt.State, verb rune) {
	type bare Config
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), bare(c))
}

// Format is there for the same reason as Config's.
func (c TLS) Format(f fmt.State, verb rune) {
	type bare TLS
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), bare(c))
}

// Hint adds to a status what c itself may have to do with it.
func (c Config) Hint(s Status) Status {
	if s.Reason != AuthenticationFailed {
		return s
	}
	var spaced []string
	for _, credential := range []struct{ name, value string }{{"user name", c.Username}, {"password", string(c.Password)}} {
		if strings.TrimSpace(credential.value) != credential.value {
			spaced = append(spaced, credential.name)
		}
	}
	if len(spaced) > 0 {
		s.Message += "; the " + strings.Join(spaced, " and the ") + " in it begins or ends with white space"
	}
	return s
}

// Endpoint names the keys that a Config leads to: the same for two Configs that
// differ in credentials only.
type Endpoint struct {
	Address  string
	Database int
}

// Endpoint is where c leads.
func (c Config) Endpoint() Endpoint { return Endpoint{c.Address, c.Database} }

// Each timeout bounds one step of talking to Redis.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 3 * time.Second
	poolSize    = 64
)

// New makes a client that connects where the rules let it. It does not connect yet. An
// error says which part of the TLS material cannot be used.
//
// Nothing is retried below the engine: a command whose reply was lost may have
// been carried out, and only the engine knows what that means.
func New(c Config, rules *egress.Rules) (*Client, error) {
	secure, err := c.tls()
	if err != nil {
		return nil, err
	}
	age := cmp.Or(c.MaxAge, DefaultMaxAge)
	made := &conns{dialer: net.Dialer{Timeout: dialTimeout}, rules: rules, tls: secure, open: map[*conn]struct{}{}}
	rdb := redis.NewClient(&redis.Options{
		Addr:                     c.Address,
		DB:                       c.Database,
		Username:                 c.Username,
		Password:                 string(c.Password),
		Dialer:                   made.dial,
		DialTimeout:              dialTimeout,
		ConnMaxLifetime:          age,
		ConnMaxLifetimeJitter:    time.Duration(maxAgeJitter * float64(age)),
		DialerRetries:            1,
		ReadTimeout:              ioTimeout,
		WriteTimeout:             ioTimeout,
		PoolTimeout:              ioTimeout,
		PoolSize:                 poolSize,
		MaxRetries:               -1,
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	rdb.AddHook(discreet{c.Password})
	return &Client{rdb, made}, nil
}

func (c Config) tls() (*tls.Config, error) {
	if !c.TLS.Enabled {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLS.ServerName}
	if conf.ServerName == "" {
		host, _, err := net.SplitHostPort(c.Address)
		if err != nil {
			return nil, fmt.Errorf("redis address: %w", err)
		}
		conf.ServerName = strings.TrimSuffix(host, ".") // which DNS alone is to see
	}
	if c.TLS.CA != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(c.TLS.CA)) {
			return nil, errors.New("the CA holds no PEM certificate")
		}
	}
	if c.TLS.Cert != "" || c.TLS.Key != "" {
		pair, err := tls.X509KeyPair([]byte(c.TLS.Cert), []byte(c.TLS.Key))
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}
