// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/loader/http/direct"
)

// maxConnAge is how long a connection takes new calls, give or take direct.AgeJitter: a
// name may come to mean other addresses, while the old ones go on answering.
const maxConnAge = 30 * time.Second

// dialer makes connections to any one of the addresses of a name, which it looks up
// each time: so calls spread over all addresses that a name has.
type dialer struct {
	net.Dialer
	rules *egress.Rules
}

func newDialer(cfg Config, env loader.Environment, o options) *dialer {
	return &dialer{net.Dialer{Timeout: min(connectTimeout, cfg.Timeout), KeepAlive: keepAlive, Resolver: o.resolver}, env.Egress}
}

// DialContext tries the addresses in a random order, each for its share of the time.
// The error is that of the first.
func (d *dialer) DialContext(ctx context.Context, network, target string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	judged := d.rules.Bind(d.Dialer, host)
	addresses, err := judged.Resolver.LookupHost(ctx, host) // one that is an address stays as it is
	if err != nil {
		return nil, err
	}
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	var first error
	for i, address := range addresses {
		conn, err := try(ctx, judged, network, net.JoinHostPort(address, port), len(addresses)-i)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// try dials one of so many addresses that are left.
func try(ctx context.Context, d net.Dialer, network, address string, left int) (net.Conn, error) {
	if end, bounded := ctx.Deadline(); bounded && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
	}
	return d.DialContext(ctx, network, address)
}

// generations has net/http replace its connections when their time is over, which it
// has no setting for: each generation is a transport of its own. Calls of a former one
// end there, and its connections with them.
type generations struct {
	make func() *http.Transport
	age  time.Duration
	call time.Duration // the longest

	mu     sync.Mutex
	now    *http.Transport
	until  time.Time
	former map[*http.Transport]struct{}
}

// RoundTrip calls by the present generation.
func (g *generations) RoundTrip(r *http.Request) (*http.Response, error) {
	return g.present().RoundTrip(r)
}

func (g *generations) present() *http.Transport {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); g.now == nil || now.After(g.until) {
		g.retire()
		g.now, g.until = g.make(), now.Add(direct.Lifetime(g.age))
	}
	return g.now
}

// retire closes what is idle of the present generation, and once more when the last of
// its calls has ended: a connection of HTTP/2 that is in use is not closed by its end.
func (g *generations) retire() {
	old := g.now
	if old == nil {
		return
	}
	old.CloseIdleConnections()
	if g.former == nil {
		g.former = map[*http.Transport]struct{}{}
	}
	g.former[old] = struct{}{}
	time.AfterFunc(g.call+time.Second, func() {
		old.CloseIdleConnections()
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.former, old)
	})
}

// closeIdle closes what is idle in all generations.
func (g *generations) closeIdle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now != nil {
		g.now.CloseIdleConnections()
	}
	for old := range g.former {
		old.CloseIdleConnections()
	}
}
