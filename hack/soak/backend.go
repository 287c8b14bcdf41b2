// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// backend answers a load with the logical time at which it began.
type backend struct {
	url     string
	server  *http.Server
	clock   atomic.Int64 // ticks with each command of an application, too
	failing atomic.Bool
	loads   atomic.Int64
	failed  atomic.Int64
	doubled atomic.Int64 // loads of a key while another ran
	running sync.Map
}

func newBackend() (*backend, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &backend{url: "http://" + listener.Addr().String()}
	b.server = &http.Server{Handler: b, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = b.server.Serve(listener) }()
	return b, nil
}

func (b *backend) close() { _ = b.server.Close() }

// ServeHTTP takes a few milliseconds, and now and then a good deal longer.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := b.clock.Add(1)
	b.loads.Add(1)
	if _, double := b.running.LoadOrStore(r.URL.Path, true); double {
		b.doubled.Add(1)
	}
	defer b.running.Delete(r.URL.Path)
	pause := time.Millisecond
	if rand.IntN(1000) == 0 {
		pause = time.Second
	}
	time.Sleep(pause)
	if b.failing.Load() {
		b.failed.Add(1)
		http.Error(w, "failing", http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprint(w, loaded, strconv.FormatInt(began, 10))
}
