// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package redisconn

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/redistest"
)

func TestARedisThatMayNotBeReached(t *testing.T) {
	t.Parallel()
	_, port, _ := net.SplitHostPort(redistest.Start(t).Addr)
	byDefault, err := egress.New(egress.Config{})
	check(t, err)
	open, err := egress.New(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	check(t, err)
	for address, c := range map[string]struct {
		rules *egress.Rules
		want  Reason
	}{
		"127.0.0.1:" + port:          {byDefault, EgressDenied},
		"127.0.0.1:1":                {byDefault, EgressDenied}, // nothing listens there
		"localhost:" + port:          {byDefault, EgressDenied},
		"[::ffff:127.0.0.1]:" + port: {byDefault, EgressDenied},
		"0.0.0.0:" + port:            {byDefault, EgressDenied},
		"[::]:" + port:               {byDefault, EgressDenied},
		"169.254.169.254:80":         {byDefault, EgressDenied},
		"127.0.0.2:" + port:          {open, EgressDenied},
		"127.0.0.1:" + port + " ":    {open, ConnectionFailed},
	} {
		for _, secure := range []bool{false, true} {
			rdb, err := New(Config{Address: address, TLS: TLS{Enabled: secure}}, c.rules)
			check(t, err)
			_, status := Probe(t.Context(), rdb)
			_ = rdb.Close()
			if status.Reason != c.want || c.want == EgressDenied && !strings.Contains(status.Message, "denied by default") {
				t.Errorf("%s (TLS: %t): %+v", address, secure, status)
			}
		}
	}
	rdb, err := New(Config{Address: "127.0.0.1:" + port}, open)
	check(t, err)
	defer func() { _ = rdb.Close() }()
	if _, status := Probe(t.Context(), rdb); status.Reason != Connected {
		t.Errorf("what is allowed: %+v", status)
	}
}
