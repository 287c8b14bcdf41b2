// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"errors"
	"flag"
	"io"
	"net/netip"
	"strings"
	"testing"
)

func rulesOf(t *testing.T, args ...string) *Rules {
	t.Helper()
	var c Config
	flags := flag.NewFlagSet("keepfresh", flag.ContinueOnError)
	c.Bind(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.Own(map[netip.Addr]string{netip.MustParseAddr("10.0.0.1"): "an address of the API server", netip.MustParseAddr("::ffff:10.9.9.9"): "an address of the operator itself"})
	return r
}

// What each is an address of is in the registries that byDefault names.
func TestWhatIsDeniedByDefault(t *testing.T) {
	r := rulesOf(t)
	for rule, addresses := range map[string]string{
		"loopback": "127.0.0.1 127.0.0.53 127.255.255.254 ::1 ::ffff:127.0.0.1 ::127.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::127.0.0.1 " +
			"64:ff9b:1:7f00:0:100:808:808 64:ff9b:1:87f:0:1:808:808 2002:7f00:1:: 2002:7f00:1::1 2001:0:7f00:1:: 2001:0:808:808:0:0:80ff:fffe ::ffff:7f00:1%eth0",
		"link-local": "169.254.169.254 169.254.0.1 169.254.170.2 fe80::1 fe80::1%eth0 fe80::a9fe:a9fe%1 febf::1 ::ffff:169.254.169.254 ::169.254.169.254 64:ff9b::169.254.169.254 " +
			"64:ff9b::a9fe:a9fe 64:ff9b:1::a9fe:a9fe 2002:a9fe:a9fe:: 2002:a9fe:a9fe::1 2001:0:a9fe:a9fe:: 2001:0:0808:0808:0:0:5601:5601 ::ffff:0:169.254.169.254",
		"unspecified":                "0.0.0.0 0.0.0.1 0.255.255.255 :: ::ffff:0.0.0.0 64:ff9b::0.0.0.0 2002:: ::2",
		"multicast":                  "224.0.0.1 239.255.255.250 ff02::1 ff05::2 ::ffff:224.0.0.1 64:ff9b::224.0.0.1 2002:e000:1::",
		"broadcast":                  "255.255.255.255 ::ffff:255.255.255.255 64:ff9b::255.255.255.255",
		"reserved":                   "240.0.0.1 254.1.2.3",
		"a cloud's metadata service": "fd00:ec2::254 fd20:ce::254 100.100.100.200 168.63.129.16 192.0.0.192 ::ffff:100.100.100.200 64:ff9b::100.100.100.200",
		"API server":                 "10.0.0.1 ::ffff:10.0.0.1 ::10.0.0.1 64:ff9b::10.0.0.1 2002:a00:1::",
		"operator itself":            "10.9.9.9 ::ffff:10.9.9.9 64:ff9b::10.9.9.9",
	} {
		for text := range strings.FieldsSeq(addresses) {
			err := r.Check("victim.shop.svc", netip.MustParseAddr(text))
			var denied *Denied
			if !errors.As(err, &denied) || !strings.Contains(denied.Rule, rule) || denied.Host != "victim.shop.svc" {
				t.Errorf("%s is judged: %v; want the rule for %s", text, err, rule)
			} else if strings.Contains(err.Error(), text) {
				t.Errorf("the address is told: %s", err)
			}
		}
	}
	for text := range strings.FieldsSeq("10.0.0.2 10.96.0.10 172.16.0.1 192.168.1.1 100.64.0.1 8.8.8.8 fd00::1 2001:db8::1 2a00:1450::1 ::ffff:10.0.0.2 64:ff9b::8.8.8.8 64:ff9b:1::10.0.0.2 2002:808:808::1") {
		if err := r.Check("catalog.shop.svc", netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTheNarrowestRuleCounts(t *testing.T) {
	for sentence, c := range map[string]struct {
		flags, host, address string
		denied               bool
	}{
		"a wide allowance opens nothing that is denied by default": {"--allow-egress-cidr=0.0.0.0/0", "h", "127.0.0.1", true},
		"one as narrow does":                        {"--allow-egress-cidr=127.0.0.0/8", "h", "127.0.0.1", false},
		"one address alone":                         {"--allow-egress-cidr=127.0.0.1", "h", "127.0.0.1", false},
		"and no other":                              {"--allow-egress-cidr=127.0.0.1", "h", "127.0.0.2", true},
		"written in IPv6":                           {"--allow-egress-cidr=::ffff:127.0.0.0/104", "h", "127.0.0.1", false},
		"the API server, by its very address":       {"--allow-egress-cidr=10.0.0.1/32", "h", "10.0.0.1", false},
		"but not by its range":                      {"--allow-egress-cidr=10.0.0.0/24", "h", "10.0.0.1", true},
		"a denial":                                  {"--deny-egress-cidr=10.0.0.0/8", "h", "10.1.2.3", true},
		"a denial and a narrower allowance":         {"--deny-egress-cidr=10.0.0.0/8 --allow-egress-cidr=10.1.0.0/16", "h", "10.1.2.3", false},
		"an allowance and a narrower denial":        {"--allow-egress-cidr=10.0.0.0/8 --deny-egress-cidr=10.1.0.0/16", "h", "10.1.2.3", true},
		"both as narrow":                            {"--allow-egress-cidr=10.0.0.0/8 --deny-egress-cidr=10.0.0.0/8", "h", "10.1.2.3", true},
		"several in one flag":                       {"--deny-egress-cidr=192.168.0.0/16,10.0.0.0/8", "h", "10.1.2.3", true},
		"all is denied":                             {"--deny-egress-cidr=0.0.0.0/0", "h", "8.8.8.8", true},
		"all is denied but a host":                  {"--deny-egress-cidr=0.0.0.0/0 --allow-egress-host=catalog.shop.svc", "catalog.shop.svc", "8.8.8.8", false},
		"that host with a dot and in capitals":      {"--deny-egress-cidr=0.0.0.0/0 --allow-egress-host=catalog.shop.svc", "Catalog.shop.SVC.", "8.8.8.8", false},
		"all is denied but what is below a suffix":  {"--deny-egress-cidr=0.0.0.0/0 --allow-egress-host=*.shop.svc", "catalog.shop.svc", "8.8.8.8", false},
		"the suffix itself is not below it":         {"--deny-egress-cidr=0.0.0.0/0 --allow-egress-host=*.shop.svc", "shop.svc", "8.8.8.8", true},
		"nor is what only ends alike":               {"--deny-egress-cidr=0.0.0.0/0 --allow-egress-host=*.shop.svc", "myshop.svc", "8.8.8.8", true},
		"a host does not open what it is not":       {"--deny-egress-cidr=0.0.0.0/0 --allow-egress-host=catalog.shop.svc", "catalog.shop.svc.evil.example", "8.8.8.8", true},
		"a host opens nothing denied by default":    {"--allow-egress-host=*.shop.svc", "rebound.shop.svc", "169.254.169.254", true},
		"nor a single address that a flag denies":   {"--deny-egress-cidr=10.1.2.3 --allow-egress-host=*.shop.svc", "rebound.shop.svc", "10.1.2.3", true},
		"a translated form of what a flag denies":   {"--deny-egress-cidr=10.0.0.0/8", "h", "64:ff9b::10.1.2.3", true},
		"to allow a translator opens nothing by it": {"--allow-egress-cidr=64:ff9b::/96", "h", "64:ff9b::127.0.0.1", true},
	} {
		r := rulesOf(t, strings.Fields(c.flags)...)
		if err := r.Check(c.host, netip.MustParseAddr(c.address)); (err != nil) != c.denied {
			t.Errorf("%s: %v", sentence, err)
		}
	}
}

func TestFlagsThatSayNothing(t *testing.T) {
	for text, part := range map[string]string{
		"--allow-egress-cidr=10.0.0.0/33":   "write 10.0.0.0/8",
		"--allow-egress-cidr=10.0.0.1/8":    "write 10.0.0.0/8",
		"--deny-egress-cidr=localhost":      "write 10.0.0.0/8",
		"--deny-egress-cidr=10.0.0.0/8,":    "no range",
		"--deny-egress-cidr=fe80::1%eth0/9": "no range",
		"--allow-egress-host=":              "write a name",
		"--allow-egress-host=*":             "write a name",
		"--allow-egress-host=*.":            "write a name",
		"--allow-egress-host=a.*.b":         "write a name",
		"--allow-egress-host=http://a":      "write a name",
		"--allow-egress-host=a:80":          "write a name",
	} {
		var c Config
		flags := flag.NewFlagSet("keepfresh", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		c.Bind(flags)
		if err := flags.Parse([]string{text}); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNoRulesDenyNothing(t *testing.T) {
	var r *Rules
	if err := r.Check("h", netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Error(err)
	}
}
