//go:build chart

// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"fmt"
	"strings"
	"testing"
)

// ownServices tries egress.admissionPolicy with policies of the namespace team-a.
func ownServices(t *testing.T, c *cluster) {
	args := []string{release, chart, "--set", "crds.keep=false,egress.admissionPolicy=true",
		"--set", "egress.allowHosts={partner.example,*.redis.example}", "--set", "egress.allowCIDRs={192.0.2.0/24,198.51.100.7/32,2001:db8::/32}"}
	c.helm(t, append([]string{"install"}, args...)...)
	defer c.helm(t, "uninstall", release, "--wait=watcher")
	c.kubectl(t, "", "wait", "--for=condition=Established", "customresourcedefinition/cachepolicies.cache.keepfresh.dev")
	try := func(redis, url string) (string, error) {
		manifest := fmt.Sprintf(`{apiVersion: cache.keepfresh.dev/v1alpha1, kind: CachePolicy, metadata: {name: tried}, spec: {redis: {addresses: [%q]},
  expire: 60s, keyspaces: [{name: products, key: "product:{id}", loader: {http: {url: %q}}}]}}`, redis, url)
		return c.run(t, manifest, c.kubectlPath, "create", "--namespace=team-a", "--dry-run=server", "--filename=-")
	}
	const ownRedis, ownLoader = "redis.team-a.svc:6379", "http://catalog.team-a.svc/{id}"
	eventually(t, "the policy is in force", func() bool {
		_, err := try("redis.team-b.svc:6379", ownLoader)
		return err != nil
	})
	for _, redis := range []string{ownRedis, "REDIS.team-a.svc.cluster.local.:6379", "redis-0.redis.team-a.svc.cluster.local:6379", "a.redis.example:6379", "192.0.2.9:6379", "[2001:db8::7]:6379"} {
		if out, err := try(redis, ownLoader); err != nil {
			t.Errorf("redis %s: %s", redis, out)
		}
	}
	for _, url := range []string{ownLoader, "https://catalog.team-a.svc:8443?id={id}", "http://catalog.team-a.svc.cluster.local./{id}", "http://partner.example/{id}", "http://198.51.100.7/{id}", "http://[2001:db8::7]:80/{id}"} {
		if out, err := try(ownRedis, url); err != nil {
			t.Errorf("loader %s: %s", url, out)
		}
	}
	for _, host := range []string{"catalog.team-b.svc", "catalog.team-b.svc.cluster.local", "catalog", "catalog.team-a", "team-a.svc", "catalog.xteam-a.svc", "catalog.team-a.svc.example.com", "metadata.google.internal",
		"redis.example", "xpartner.example", "198.51.100.8", "127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:192.0.2.9]", "catalog.team-a.svc.evil", "evil.example?x=.team-a.svc", "evil.example/.team-a.svc"} {
		out, err := try(ownRedis, "http://"+host+"/{id}")
		if err == nil || !strings.Contains(out, "name Services of this namespace only, written NAME.team-a.svc") {
			t.Errorf("loader %s: %v %s", host, err, out)
		}
		if strings.ContainsAny(host, "?/") {
			continue
		}
		if out, err := try(host+":6379", ownLoader); err == nil || !strings.Contains(out, "name Services of this namespace only") {
			t.Errorf("redis %s: %v %s", host, err, out)
		}
	}
}
