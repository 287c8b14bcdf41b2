// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package egress says to which addresses the operator may connect for a policy. Whoever
// writes a policy names hosts, and the operator calls them from its own place in the
// network: an address that only the operator can reach must not become the author's.
//
// Addresses are judged, not names: after a name is looked up, for each address that is
// tried, before anything is sent to it.
//
// Of the rules that an address meets, the narrowest counts; of two that are as narrow, a
// denial by flag goes before an allowance, and that before a denial by default.
package egress

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
)

// Config is what an operator's flags say.
type Config struct {
	Allow, Deny []netip.Prefix

	// Hosts are names, or *.suffix for all below it. What such a host's name leads to
	// is not held to Deny, but for single addresses, nor to OwnServices; it is to the
	// denials by default.
	Hosts []string

	// OwnServices ties each policy to the Services of its namespace, by their names below
	// ClusterDomain, and to what is allowed.
	OwnServices   bool
	ClusterDomain string // DefaultClusterDomain if empty
}

// DefaultClusterDomain is what the names of Services end in if a cluster was not set up
// otherwise.
const DefaultClusterDomain = "cluster.local"

// Rules judge addresses. They are safe for concurrent use. Nil rules deny nothing.
type Rules struct {
	rules  []rule
	hosts  []string
	own    *atomic.Pointer[[]rule]
	domain string // of the cluster, if policies are tied to their namespace

	namespace string // the policy's, if it is tied to it
}

// rule is about the addresses of a prefix.
type rule struct {
	prefix netip.Prefix
	name   string // as a person is told of it
	rank   rank
}

// rank orders rules that are as narrow: the first counts.
type rank int

const (
	denied rank = iota
	allowed
	deniedByDefault
)

// Denied says that a rule forbids an address that a host's name leads to. It names no
// address, which the author of a policy may not know.
type Denied struct {
	Host, Rule string
	Flag       string // that would allow it, if one can
}

// Error says what to do.
func (d *Denied) Error() string {
	text := fmt.Sprintf("the operator may not connect to what %q leads to: %s", d.Host, d.Rule)
	if d.Flag != "" {
		text += "; if it should, ask who runs it for " + d.Flag
	}
	return text
}

const (
	allowCIDR = "--allow-egress-cidr"
	allowHost = "--allow-egress-host"
)

// byDefault are the addresses that lead to the operator itself, to its node, or to more
// than one host. Source: IANA's registries of special-purpose addresses, and the
// documentation of the clouds for their metadata services.
var byDefault = []struct{ name, prefixes string }{
	{"loopback", "127.0.0.0/8 ::1/128"},
	{"link-local", "169.254.0.0/16 fe80::/10"},
	{"unspecified", "0.0.0.0/8 ::/128"},
	{"multicast", "224.0.0.0/4 ff00::/8"},
	{"broadcast", "255.255.255.255/32"},
	{"reserved", "240.0.0.0/4"},
	{"a cloud's metadata service", "fd00:ec2::254/128 fd20:ce::254/128 100.100.100.200/32 168.63.129.16/32 192.0.0.192/32"},
}

// New makes rules. An error names the host that cannot be used.
func New(c Config) (*Rules, error) {
	r := &Rules{own: new(atomic.Pointer[[]rule])}
	if c.OwnServices {
		r.domain = strings.ToLower(strings.Trim(cmp.Or(c.ClusterDomain, DefaultClusterDomain), "."))
	}
	for _, d := range byDefault {
		for text := range strings.FieldsSeq(d.prefixes) {
			r.rules = append(r.rules, rule{netip.MustParsePrefix(text), d.name + " addresses are denied by default", deniedByDefault})
		}
	}
	for _, p := range c.Allow {
		r.rules = append(r.rules, rule{canonical(p), "", allowed})
	}
	for _, p := range c.Deny {
		r.rules = append(r.rules, rule{canonical(p), "--deny-egress-cidr=" + p.String(), denied})
	}
	for _, host := range c.Hosts {
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		if name := strings.TrimPrefix(host, "*."); name == "" || strings.ContainsAny(name, "*/: ") {
			return nil, fmt.Errorf("%q is no host: write a name, or *.suffix for all names below it", host)
		}
		r.hosts = append(r.hosts, host)
	}
	return r, nil
}

// canonical is a prefix of IPv4 addresses as such, where it was written in IPv6.
func canonical(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// Own replaces the single addresses that are denied for what they are: as in "an address
// of the API server".
func (r *Rules) Own(addresses map[netip.Addr]string) {
	var own []rule
	for a, what := range addresses {
		a = a.Unmap().WithZone("")
		own = append(own, rule{netip.PrefixFrom(a, a.BitLen()), what + " is denied by default", deniedByDefault})
	}
	r.own.Store(&own)
}

// For are the rules for the policies of a namespace.
func (r *Rules) For(namespace string) *Rules {
	if r == nil || r.domain == "" {
		return r
	}
	tied := *r
	tied.namespace = namespace
	return &tied
}

// Scope tells rules apart that judge differently: those of one operator are the same
// where it is.
func (r *Rules) Scope() string {
	if r == nil {
		return ""
	}
	return r.namespace
}

// Check judges an address that a host's name leads to. The error is a *Denied.
func (r *Rules) Check(host string, address netip.Addr) error {
	if r == nil {
		return nil
	}
	named := r.names(host)
	foreign := r.namespace != "" && !named && !r.service(host)
	for _, form := range forms(address) {
		switch found := r.find(form, named); {
		case found == nil && foreign:
			return &Denied{host, fmt.Sprintf("it is no Service of the policy's namespace, which is written NAME.%s.svc", r.namespace), allowHost + " or " + allowCIDR}
		case found != nil && found.rank != allowed:
			return &Denied{host, found.name, allowCIDR}
		}
	}
	return nil
}

// service says that a host is a name of a Service of the policy's namespace, or of one
// of its Pods.
func (r *Rules) service(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), "."+r.domain)
	return strings.HasSuffix(host, "."+r.namespace+".svc")
}

// find is the rule that counts for an address, or nil.
func (r *Rules) find(a netip.Addr, named bool) (found *rule) {
	sets := [][]rule{r.rules}
	if own := r.own.Load(); own != nil {
		sets = append(sets, *own)
	}
	for _, rules := range sets {
		for i := range rules {
			x := &rules[i]
			lifted := named && x.rank == denied && !x.prefix.IsSingleIP()
			if lifted || !x.prefix.Contains(a) {
				continue
			}
			if found == nil || x.prefix.Bits() > found.prefix.Bits() || x.prefix.Bits() == found.prefix.Bits() && x.rank < found.rank {
				found = x
			}
		}
	}
	return found
}

// names says that a host is named by --allow-egress-host.
func (r *Rules) names(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, h := range r.hosts {
		if suffix, below := strings.CutPrefix(h, "*"); h == host || below && strings.HasSuffix(host, suffix) && len(host) > len(suffix) {
			return true
		}
	}
	return false
}
