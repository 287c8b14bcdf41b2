// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package redisconn

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/egress"
)

// DefaultMaxAge is how long a connection is used if a Config says nothing. An address
// may come to mean another server, and the old one may go on serving what it has.
const DefaultMaxAge = 30 * time.Second

// maxAgeJitter is the share of its greatest age by which a connection ends earlier or
// later, so that those made together do not end together.
const maxAgeJitter = 0.2

// Client is a client that can replace all of its connections.
type Client struct {
	*redis.Client
	conns *conns
}

// Redial closes all connections, subscriptions too: what address they were made for is
// looked up anew. Commands under way fail as by a connection that was lost.
func (c *Client) Redial() { c.conns.close() }

// conns makes the connections of a client, and remembers those that are open.
type conns struct {
	dialer net.Dialer
	rules  *egress.Rules
	tls    *tls.Config // nil for none

	mu   sync.Mutex
	open map[*conn]struct{}
}

// conn is a connection that is remembered until it is closed.
type conn struct {
	*net.TCPConn
	of *conns
}

func (c *conns) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.dialer.Timeout)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	judged := c.rules.Bind(c.dialer, host)
	bare, err := judged.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	made := &conn{bare.(*net.TCPConn), c}
	c.mu.Lock()
	c.open[made] = struct{}{}
	c.mu.Unlock()
	if c.tls == nil {
		return made, nil
	}
	secure := tls.Client(made, c.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = made.Close()
		return nil, err
	}
	return secure, nil
}

// Close forgets the connection.
func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.TCPConn.Close()
}

func (c *conns) close() {
	c.mu.Lock()
	open := c.open
	c.open = map[*conn]struct{}{}
	c.mu.Unlock()
	for made := range open {
		_ = made.TCPConn.Close()
	}
}
