// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const shop = `
# A comment of its own document.
---
apiVersion: cache.keepfresh.dev/v1alpha1
kind: CachePolicy
metadata: {name: shop}
spec:
  redis: {addresses: ["127.0.0.1:1"], auth: {secretRef: {name: redis}}}
  expire: 20s
  keyspaces:
  - name: products
    key: "product:{id}"
    loader:
      http:
        url: "http://127.0.0.1:2/products/{id}"
        headers:
        - {name: Authorization, valueFrom: {secretKeyRef: {name: loader, key: token}}}
  - name: home
    key: "page:{locale}:home"
    expire: 15s
    source: {keys: ["page:en:home", "page:de:home"]}
    loader: {http: {url: "http://127.0.0.1:2/render?locale={locale}"}}
---
apiVersion: v1
kind: Secret
metadata: {name: redis}
stringData: {password: one}
---
apiVersion: v1
kind: Secret
metadata: {name: loader}
data: {token: dHdv}
`

func shopSamples(t *testing.T, text string) (*samples, error) {
	t.Helper()
	objects, err := parseManifests([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return parseSamples(objects)
}

func TestSamplesSayWhatTheDemoMustBring(t *testing.T) {
	s, err := shopSamples(t, shop)
	if err != nil {
		t.Fatal(err)
	}
	if s.redis != "127.0.0.1:1" || s.password != "one" || s.catalog != "127.0.0.1:2" {
		t.Errorf("redis %s, password %s, catalog %s", s.redis, s.password, s.catalog)
	}
	if len(s.existing) != existingKeys || s.existing[0] != (appKey{"product:1001", 20 * time.Second, 12400 * time.Millisecond}) {
		t.Errorf("%d existing keys, the first of which is %v", len(s.existing), s.existing[0])
	}
	if len(s.kept) != 2 || s.kept[1] != (appKey{"page:de:home", 15 * time.Second, 9300 * time.Millisecond}) {
		t.Errorf("kept keys %v", s.kept)
	}
}

func TestSamplesThatNeedTwoRedisesAreRefused(t *testing.T) {
	second := strings.NewReplacer("127.0.0.1:1", "127.0.0.1:9", "name: shop", "name: other").Replace(shop)
	if _, err := shopSamples(t, shop+"---\n"+second); err == nil || !strings.Contains(err.Error(), "127.0.0.1:9") {
		t.Errorf("error %v, want one that names both addresses", err)
	}
}

func TestCatalogWantsTheHeadersOfTheSamples(t *testing.T) {
	s, err := shopSamples(t, shop)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		url, token string
		want       int
	}{
		"the token opens the products":  {"/products/1", "two", http.StatusOK},
		"another token does not":        {"/products/1", "three", http.StatusUnauthorized},
		"no token does not":             {"/products/1", "", http.StatusUnauthorized},
		"the home page needs none":      {"/render?locale=en", "", http.StatusOK},
		"there is nothing else in here": {"/elsewhere", "two", http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			c := &catalog{routes: s.routes}
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, test.url, nil)
			if test.token != "" {
				request.Header.Set("Authorization", test.token)
			}
			answer := httptest.NewRecorder()
			c.ServeHTTP(answer, request)
			if answer.Code != test.want {
				t.Errorf("status %d, want %d", answer.Code, test.want)
			}
			if loaded := c.loads.Load() == 1; loaded != (test.want == http.StatusOK) {
				t.Errorf("counted as a load: %v", loaded)
			}
		})
	}
}

func TestEachLoadHasAnotherValue(t *testing.T) {
	c := &catalog{}
	if a, b := c.value("x"), c.value("x"); string(a) == string(b) {
		t.Errorf("twice %s", a)
	}
}
