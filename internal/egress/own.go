// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-logr/logr"
)

// ownInterval is how often the operator's own addresses and those of the API server are
// looked up again.
const ownInterval = time.Minute

// Keeper keeps up to date which addresses are denied for whose they are.
type Keeper struct {
	rules *Rules
	host  string // of the API server
	log   logr.Logger

	servers []netip.Addr // as last looked up
}

// KeepOwn denies by default the addresses of this machine or Pod, and of the API server
// at a URL or host. It has done so once when it returns.
func KeepOwn(rules *Rules, apiServer string, log logr.Logger) *Keeper {
	k := &Keeper{rules: rules, host: hostOf(apiServer), log: log}
	k.look(context.Background())
	return k
}

// Start looks again, until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	ticker := time.NewTicker(ownInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			k.look(ctx)
		}
	}
}

// NeedLeaderElection says that each replica does this for itself.
func (*Keeper) NeedLeaderElection() bool { return false }

func (k *Keeper) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, ownInterval/2)
	defer cancel()
	own := map[netip.Addr]string{}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		k.log.Error(err, "The operator's own addresses cannot be listed; policies may use them")
	}
	for _, a := range interfaces {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own[p.Addr()] = "an address of the operator itself"
		}
	}
	servers, err := net.DefaultResolver.LookupNetIP(ctx, "ip", k.host)
	if err != nil {
		k.log.Error(err, "The API server's addresses cannot be looked up; those known before stay denied", "host", k.host)
	} else {
		k.servers = servers
	}
	for _, a := range k.servers {
		own[a] = "an address of the API server"
	}
	k.rules.Own(own)
}

// hostOf is the host of a URL, or of a host with or without a port.
func hostOf(text string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		return u.Hostname()
	}
	if host, _, err := net.SplitHostPort(text); err == nil {
		return host
	}
	return text
}
