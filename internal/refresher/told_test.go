// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"

	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// What a failure says goes into the status: it must not differ from one try to the
// next, as ports of our own do, or the status is written for nothing.
func TestAFailureOfRedisIsToldInTheSameWordsEachTime(t *testing.T) {
	srv, err := newServer(New(Options{}), endpoint{Config: redisconn.Config{Address: "127.0.0.1:1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.close()
	at := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
	var told []string
	for _, port := range []int{40001, 40002} {
		r := &rebuilder{ctx: context.Background(), srv: srv}
		broken := &net.OpError{Op: "read", Net: "tcp", Source: at(port), Addr: at(6379), Err: os.NewSyscallError("read", syscall.EHOSTUNREACH)}
		told = append(told, r.redisFailed(result{job: job{key: "product:1"}}, broken).failure.Message)
	}
	if told[0] != told[1] {
		t.Errorf("it is told as %q", told)
	}
}

func TestAKeyIsExplainedWithTheMethodOfItsLoader(t *testing.T) {
	for url, c := range map[string]struct {
		batch int
		want  string
	}{
		"http://catalog/products/{id}": {0, http.MethodGet},
		"http://catalog/products":      {100, http.MethodPost},
	} {
		if d, err := Describe("product:{id}", httploader.Config{URL: url, BatchSize: c.batch}, "product:1"); err != nil || d.Method != c.want || d.Address == "" {
			t.Errorf("%s: %+v, %v; want %s", url, d, err, c.want)
		}
	}
}
