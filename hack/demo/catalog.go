// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// How long the catalog's backend takes for a value: at least minLatency, and up
// to latencySpread more.
const (
	minLatency    = 35 * time.Millisecond
	latencySpread = 30 * time.Millisecond
)

// catalog is the service that the samples' loaders call: each path has a value
// that is another at each load, and that a slow backend has to be asked for.
type catalog struct {
	routes  []route
	loads   atomic.Int64 // answers to HTTP requests: the operator's loads
	refused atomic.Int64 // HTTP requests without the headers that the samples give
	version atomic.Int64
	server  *http.Server
}

// serve starts the service on addr.
func (c *catalog) serve(addr string) error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return portError(addr, err)
	}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = c.server.Serve(listener) }()
	return nil
}

func (c *catalog) stop() {
	if c.server != nil {
		_ = c.server.Close()
	}
}

// ServeHTTP answers a load.
func (c *catalog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route := c.route(r.URL.Path)
	if route == nil {
		http.NotFound(w, r)
		return
	}
	for name, value := range route.headers {
		if r.Header.Get(name) != value {
			c.refused.Add(1)
			http.Error(w, "the header "+name+" is missing or wrong", http.StatusUnauthorized)
			return
		}
	}
	c.loads.Add(1)
	value, err := c.load(r.Context(), r.URL.RequestURI())
	if err != nil {
		return // the client has left
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(value)
}

// route returns the route of the longest path that fits.
func (c *catalog) route(path string) *route {
	var best *route
	for i := range c.routes {
		if r := &c.routes[i]; strings.HasPrefix(path, r.path) && (best == nil || len(r.path) > len(best.path)) {
			best = r
		}
	}
	return best
}

// load asks the backend, which takes its time.
func (c *catalog) load(ctx context.Context, what string) ([]byte, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(minLatency + rand.N(latencySpread)):
		return c.value(what), nil
	}
}

func (c *catalog) value(what string) []byte {
	value, _ := json.Marshal(map[string]any{
		"what": what, "version": c.version.Add(1), "loadedAt": time.Now().UTC().Format(time.RFC3339Nano),
	})
	return value
}

// portError says in a sentence what to do about an address that is taken.
func portError(addr string, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	_, port, _ := net.SplitHostPort(addr)
	return fmt.Errorf("another program listens on %s, perhaps another demo; stop it (lsof -i :%s or ss -ltnp names it), or change the port in %s",
		addr, port, samplesFolder)
}
