// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// Bind has a dialer look the host up and judge each address that it tries. The socket is
// there by then, and nothing has been sent.
func (r *Rules) Bind(d net.Dialer, host string) net.Dialer {
	if r == nil {
		return d
	}
	var said *answers
	d.Resolver, said = r.listen(d.Resolver, host)
	d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		tried, err := netip.ParseAddrPort(address)
		if err != nil {
			return unclear(host)
		}
		if err := r.Check(host, tried.Addr()); err != nil {
			return err
		}
		return said.judge(host)
	}
	return d
}

// CheckHost judges all addresses that a host's name leads to now: what a proxy, which
// looks the name up by itself, may connect to. A name that cannot be looked up is denied.
func (r *Rules) CheckHost(ctx context.Context, host string, resolver *net.Resolver) error {
	if r == nil {
		return nil
	}
	resolver, said := r.listen(resolver, host)
	found, err := resolver.LookupHost(ctx, host)
	if err != nil || len(found) == 0 {
		return &Denied{host, "its name cannot be looked up, which a proxy's target has to be", ""}
	}
	for _, text := range found {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return unclear(host)
		}
		if err := r.Check(host, address); err != nil {
			return err
		}
	}
	return said.judge(host)
}

func unclear(host string) error { return &Denied{host, "its address cannot be judged", ""} }

// listen has a resolver's answers seen for a host that is let through for being a Service
// of the policy's namespace: its name must not be an alias for something else. Others need
// none.
func (r *Rules) listen(usual *net.Resolver, host string) (*net.Resolver, *answers) {
	if r.namespace == "" || r.names(host) || !r.service(host) {
		return usual, nil
	}
	said := &answers{within: "." + r.namespace + ".svc." + r.domain + "."}
	return said.resolver(usual), said
}
