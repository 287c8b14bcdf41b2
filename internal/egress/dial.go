// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// Bind has a dialer judge each address that it tries for a host. The socket is there by
// then, and nothing has been sent.
func (r *Rules) Bind(d net.Dialer, host string) net.Dialer {
	if r == nil {
		return d
	}
	d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		tried, err := netip.ParseAddrPort(address)
		if err != nil {
			return &Denied{host, "its address cannot be judged"}
		}
		return r.Check(host, tried.Addr())
	}
	return d
}

// CheckHost judges all addresses that a host's name leads to now: what a proxy, which
// looks the name up by itself, may connect to. A name that cannot be looked up is denied.
func (r *Rules) CheckHost(ctx context.Context, host string, lookup func(ctx context.Context, host string) ([]string, error)) error {
	if r == nil {
		return nil
	}
	found, err := lookup(ctx, host)
	if err != nil || len(found) == 0 {
		return &Denied{host, "its name cannot be looked up, which a proxy's target has to be"}
	}
	for _, text := range found {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return &Denied{host, "its address cannot be judged"}
		}
		if err := r.Check(host, address); err != nil {
			return err
		}
	}
	return nil
}
