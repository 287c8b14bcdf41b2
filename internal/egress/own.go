// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-logr/logr"
)

const (
	// ownInterval is how often the addresses of sources are looked up again.
	ownInterval = time.Minute
	ownTimeout  = 10 * time.Second
)

// Source is something whose addresses are denied by default for whose they are.
type Source struct {
	What string // the rule calls it "an address of the API server"
	Look func(ctx context.Context) ([]netip.Addr, error)
}

// Interfaces are the addresses of this machine or Pod.
var Interfaces = Source{"an address of the operator itself", func(context.Context) (found []netip.Addr, err error) {
	all, err := net.InterfaceAddrs()
	for _, a := range all {
		if p, parse := netip.ParsePrefix(a.String()); parse == nil {
			found = append(found, p.Addr())
		}
	}
	return found, err
}}

// APIServer is what the rules call it.
const APIServer = "an address of the API server"

// HostOf is what the host leads to of a URL, or of a host with or without a port.
func HostOf(what, text string) Source {
	host := text
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		host = u.Hostname()
	} else if h, _, err := net.SplitHostPort(text); err == nil {
		host = h
	}
	return Source{what, func(ctx context.Context) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
}

// Keeper keeps up to date which addresses are denied for whose they are.
type Keeper struct {
	rules *Rules
	log   logr.Logger
	of    []kept
}

// kept is a source with what it said last.
type kept struct {
	Source
	found []netip.Addr
	err   string
}

// Keep denies by default the addresses of sources. It has done so once when it returns.
func Keep(rules *Rules, log logr.Logger, sources ...Source) *Keeper {
	k := &Keeper{rules: rules, log: log}
	for _, s := range sources {
		k.of = append(k.of, kept{Source: s})
	}
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

// look asks all sources. What one found before stays denied while it fails.
func (k *Keeper) look(ctx context.Context) {
	own := map[netip.Addr]string{}
	for i := range k.of {
		s := &k.of[i]
		s.look(ctx, k.log)
		for _, a := range s.found {
			own[a] = s.What
		}
	}
	k.rules.Own(own)
}

func (s *kept) look(ctx context.Context, log logr.Logger) {
	ctx, cancel := context.WithTimeout(ctx, ownTimeout)
	defer cancel()
	found, err := s.Look(ctx)
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != s.err && !errors.Is(ctx.Err(), context.Canceled) {
		if s.err = said; err != nil {
			log.Error(err, "Which addresses to deny cannot be looked up; those known before stay denied, and no others", "rule", s.What)
		}
	}
	if err == nil {
		s.found = found
	}
}
