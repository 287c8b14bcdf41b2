// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"flag"
	"fmt"
	"net/netip"
	"strings"
)

// Bind makes flags of c.
func (c *Config) Bind(flags *flag.FlagSet) {
	flags.Func("allow-egress-cidr", "A range of addresses, such as 127.0.0.1/32, to which policies may have the operator connect though a wider rule denies it. "+
		"By default loopback, link-local, unspecified, multicast, broadcast and reserved addresses, the metadata services of clouds, the API server and the operator's own addresses are denied. "+
		"The narrowest rule counts. Repeatable, or separated by commas.", into(&c.Allow))
	flags.Func("deny-egress-cidr", "A range of addresses to which policies may not have the operator connect. Of two rules that are as narrow, this one counts. Repeatable, or separated by commas.", into(&c.Deny))
	flags.Func("allow-egress-host", "A name, or *.suffix for all names below it, whose addresses policies may use in spite of --deny-egress-cidr, but for single addresses there; what is denied by default stays so. "+
		"Repeatable, or separated by commas.", func(text string) error {
		for host := range strings.SplitSeq(text, ",") {
			c.Hosts = append(c.Hosts, strings.TrimSpace(host))
		}
		_, err := New(Config{Hosts: c.Hosts})
		return err
	})
	flags.BoolVar(&c.OwnServices, "own-services-only", false, "Policies may have the operator connect only to Services of their own namespace, written NAME.NAMESPACE.svc, and to what --allow-egress-host and --allow-egress-cidr allow.")
	flags.StringVar(&c.ClusterDomain, "cluster-domain", DefaultClusterDomain, "What the full names of Services end in; for --own-services-only.")
}

func into(list *[]netip.Prefix) func(string) error {
	return func(text string) error {
		for part := range strings.SplitSeq(text, ",") {
			part = strings.TrimSpace(part)
			if address, err := netip.ParseAddr(part); err == nil && address.Zone() == "" {
				*list = append(*list, netip.PrefixFrom(address, address.BitLen()))
				continue
			}
			p, err := netip.ParsePrefix(part)
			if err != nil {
				return fmt.Errorf("%q is no range of addresses: write 10.0.0.0/8, or one address", part)
			}
			if p != p.Masked() {
				return fmt.Errorf("%q has bits beyond its length: write %s", part, p.Masked())
			}
			*list = append(*list, p)
		}
		return nil
	}
}
