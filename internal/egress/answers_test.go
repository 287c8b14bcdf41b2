// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/dnstest"
)

// The name server is the cluster's; nobody has the addresses that it gives, so that what
// is let through fails otherwise.
func TestPoliciesThatAreTiedToTheServicesOfTheirNamespace(t *testing.T) {
	t.Parallel()
	names := dnstest.Start(t)
	for name, means := range map[string]string{
		"catalog.shop.svc.cluster.local": "192.0.2.1", "pod-0.catalog.shop.svc.cluster.local": "192.0.2.1",
		"short.shop.svc": "short.shop.svc.cluster.local.", "short.shop.svc.cluster.local": "192.0.2.1 192.0.2.2",
		"six.shop.svc.cluster.local": "2001:db8::1", "prices.other.svc.cluster.local": "192.0.2.3",
		"external.shop.svc.cluster.local": "prices.other.svc.cluster.local.", "external6.shop.svc.cluster.local": "six.example.",
		"far.shop.svc.cluster.local": "hop.shop.svc.cluster.local.", "hop.shop.svc.cluster.local": "far.example.",
		"far.example": "192.0.2.9", "six.example": "2001:db8::9", "hijacked.shop.svc": "192.0.2.9", "catalog.shop.svc.evil.example": "192.0.2.9",
		"partner.example": "192.0.2.7", "shop.svc.cluster.local": "192.0.2.8", "a.workshop.svc.cluster.local": "192.0.2.8", "local.shop.svc.cluster.local": "127.0.0.1",
		"managed.example": "192.0.2.129", "back.partner.example": "catalog.other.svc.cluster.local.", "catalog.other.svc.cluster.local": "192.0.2.6",
	} {
		names.Set(name, strings.Fields(means)...)
	}
	rules, err := New(Config{OwnServices: true, Hosts: []string{"partner.example", "*.partner.example"}, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")}})
	if err != nil {
		t.Fatal(err)
	}
	const tie, alias = "no Service of the policy's namespace, which is written NAME.shop.svc", "an alias for one outside"
	for _, transport := range []string{"UDP", "TCP"} {
		if transport == "TCP" {
			names.OnlyByTCP()
		}
		for host, want := range map[string]string{ // a rule; "" is let through
			"catalog.shop.svc.cluster.local": "", "CATALOG.Shop.SVC.cluster.local.": "", "pod-0.catalog.shop.svc.cluster.local": "", "short.shop.svc": "", "six.shop.svc.cluster.local": "",
			"partner.example": "", "back.partner.example": "", "managed.example": "", "192.0.2.200": "",
			"prices.other.svc.cluster.local": tie, "catalog.shop.svc.evil.example": tie, "shop.svc.cluster.local": tie, "a.workshop.svc.cluster.local": tie,
			"192.0.2.1": tie, "2001:db8::1": tie, "far.example": tie,
			"external.shop.svc.cluster.local": alias, "external6.shop.svc.cluster.local": alias, "far.shop.svc.cluster.local": alias, "hijacked.shop.svc": alias,
			"local.shop.svc.cluster.local": "loopback addresses are denied by default",
		} {
			dialer := rules.For("shop").Bind(net.Dialer{Timeout: 50 * time.Millisecond, Resolver: names.Resolver()}, host)
			conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(host, "80"))
			if err == nil {
				_ = conn.Close()
			}
			if got := ruleOf(err); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s, by %s: %q; want %q", host, transport, got, want)
			}
			// What a proxy is asked for.
			if got := ruleOf(rules.For("shop").CheckHost(t.Context(), host, names.Resolver())); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s, for a proxy, by %s: %q; want %q", host, transport, got, want)
			}
		}
	}
	if a, b := rules.For("shop").Scope(), rules.For("other").Scope(); a == b || rules.Scope() != "" {
		t.Error("two namespaces are judged alike")
	}
}

func TestPoliciesThatAreNotTied(t *testing.T) {
	t.Parallel()
	rules, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if rules.For("shop") != rules || (*Rules)(nil).For("shop") != nil {
		t.Error("namespaces are told apart for nothing")
	}
	if err := rules.For("shop").Check("prices.other.svc", netip.MustParseAddr("10.0.0.1")); err != nil {
		t.Error(err)
	}
}

func ruleOf(err error) string {
	var denied *Denied
	if !errors.As(err, &denied) {
		return ""
	}
	return denied.Rule
}
