// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

func BenchmarkExpand(b *testing.B) {
	for _, c := range []struct{ name, keys, url, key string }{
		{"one", "product:{id}", "http://catalog.shop.svc/products/{id}", "product:0123456789"},
		{"three", "t:{tenant}:u:{user}:{what}", "http://users.svc/{tenant}/{user}?part={what}", "t:acme:u:0123456789:a/b"},
	} {
		x, err := newExpander(parsed(c.keys), c.url)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, invalid := x.target(c.key); invalid != nil {
					b.Fatal(invalid)
				}
			}
		})
	}
}

// BenchmarkLoad compares a load with the least that net/http takes for the same,
// and, without a network, shows what the loader itself costs.
func BenchmarkLoad(b *testing.B) {
	value := strings.Repeat("x", 1024)
	s := serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, value) })
	headers := []Header{{"Authorization", "Bearer x"}}
	b.Run("loader", func(b *testing.B) {
		l := newLoader(b, s.URL, Config{Headers: headers})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.Load(b.Context(), "p:0123456789"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		l := newLoader(b, s.URL, Config{Headers: headers}, withConns(64))
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := l.Load(b.Context(), "p:0123456789"); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("net-http", func(b *testing.B) {
		transport := newTransport(Config{}.withDefaults(), loader.Environment{}, options{})
		defer transport.CloseIdleConnections()
		b.ReportAllocs()
		for b.Loop() {
			r, _ := http.NewRequestWithContext(b.Context(), "GET", s.URL+"/0123456789", nil)
			response, err := transport.RoundTrip(r)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.ReadAll(response.Body)
			_ = response.Body.Close()
		}
	})
	b.Run("without-network", func(b *testing.B) {
		l := newLoader(b, "http://catalog.shop.svc", Config{Headers: headers}, withTransport(transportFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, ContentLength: 1024, Body: io.NopCloser(strings.NewReader(value))}, nil
		})))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.Load(b.Context(), "p:0123456789"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
