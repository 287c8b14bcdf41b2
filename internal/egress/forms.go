// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import "net/netip"

// Prefixes of IPv6 addresses that stand for IPv4 ones.
var (
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291, 2.5.5.1
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765 (SIIT)
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
)

// forms are an address and the IPv4 address that a gateway may take it for.
func forms(a netip.Addr) []netip.Addr {
	a = a.Unmap().WithZone("")
	all := []netip.Addr{a}
	if !a.Is6() {
		return all
	}
	b := a.As16()
	add := func(at int, mask byte) {
		all = append(all, netip.AddrFrom4([4]byte{b[at] ^ mask, b[at+1] ^ mask, b[at+2] ^ mask, b[at+3] ^ mask}))
	}
	switch {
	case a.IsUnspecified(), a.IsLoopback():
	case compatible.Contains(a), translated.Contains(a), nat64.Contains(a):
		add(12, 0)
	case nat64Local.Contains(a): // of any length that RFC 6052, 2.2, has
		add(12, 0)
		for _, shorter := range [][4]byte{{b[6], b[7], b[9], b[10]}, {b[7], b[9], b[10], b[11]}, {b[9], b[10], b[11], b[12]}} {
			if shorter[0] != 0 { // else it is not as short as that
				all = append(all, netip.AddrFrom4(shorter))
			}
		}
	case sixToFour.Contains(a):
		add(2, 0)
	case teredo.Contains(a):
		add(4, 0)     // the server
		add(12, 0xff) // the client, inverted
	}
	return all
}
