// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import "strings"

// rule is one thing that admission refuses: what is said about it, a manifest
// that is refused, and one as near to it as can be that is not.
type rule struct {
	message string
	refused change
	taken   change
}

// rules are the rules of the schema and of CEL, keyed by the sentence that the
// refused manifest makes of them. That none is left out is a spec of its own.
var rules = map[string]rule{
	"no address":                  {"should have at least 1 items", with("redis.addresses", []string{}), with("redis.addresses", []string{"redis:6379"})},
	"two addresses":               {"must have at most 1 item", with("redis.addresses", []string{"a:6379", "b:6379"}), with("redis.addresses", []string{"b:6379"})},
	"no redis":                    {"spec.redis: Required value", with("redis", nil), with("redis", map[string]any{"addresses": []string{"redis:6379"}})},
	"an address without port":     {"write host:port", with("redis.addresses", []string{"redis.shop.svc"}), with("redis.addresses", []string{"redis.shop.svc:1"})},
	"port 65536":                  {"a port from 1 to 65535", with("redis.addresses", []string{"redis:65536"}), with("redis.addresses", []string{"redis:65535"})},
	"IPv6 without brackets":       {"or [::1]:6379", with("redis.addresses", []string{"::1:6379"}), with("redis.addresses", []string{"[::1]:6379"})},
	"an address as a URL":         {"write host:port", with("redis.addresses", []string{"redis://redis:6379"}), with("redis.addresses", []string{"10.0.0.1:6379"})},
	"an address with a blank end": {"write host:port", with("redis.addresses", []string{"redis.shop.svc .:6379"}), with("redis.addresses", []string{"redis.shop.svc.cluster.local.:6379"})},
	"an address of two dots":      {"leave out the empty part of the host name", with("redis.addresses", []string{"redis..svc:6379"}), with("redis.addresses", []string{"_redis._tcp.my_shop:6379"})},
	"an address in Unicode":       {"write an international host name in its ASCII form", with("redis.addresses", []string{"bücher.example:6379"}), with("redis.addresses", []string{"xn--bcher-kva.example:6379"})},
	"an address with a zone":      {"leave the zone", with("redis.addresses", []string{"[fe80::1%eth0]:6379"}), with("redis.addresses", []string{"[fe80::1]:6379"})},
	"an address too long":         {"Too long", with("redis.addresses", []string{strings.Repeat("a", 257) + ":6379"}), with("redis.addresses", []string{strings.Repeat("a", 256) + ":6379"})},
	"database -1":                 {"should be greater than or equal to 0", with("redis.database", -1), with("redis.database", 0)},
	"database 1024":               {"should be less than or equal to 1023", with("redis.database", 1024), with("redis.database", 1023)},
	"auth without a Secret":       {"secretRef: Required value", with("redis.auth", map[string]any{}), with("redis.auth.secretRef.name", "catalog-redis")},
	"a Secret's bad name":         {"spec.redis.auth.secretRef.name", with("redis.auth.secretRef.name", "Catalog_Redis"), with("redis.auth.secretRef.name", "catalog.redis")},
	"a CA without a Secret":       {"caSecretRef.name: Required value", with("redis.tls.caSecretRef", map[string]any{"key": "ca.crt"}), with("redis.tls.caSecretRef", map[string]any{"name": "ca"})},
	"a CA's bad key":              {"caSecretRef.key", with("redis.tls.caSecretRef", map[string]any{"name": "ca", "key": "a/b"}), with("redis.tls.caSecretRef", map[string]any{"name": "ca", "key": "a_b"})},
	"a client cert's bad name": {"certSecretRef.name",
		with("redis.tls.certSecretRef.name", "-client"), with("redis.tls.certSecretRef.name", "client")},
	"an endless serverName": {"spec.redis.tls.serverName: Too long",
		with("redis.tls.serverName", strings.Repeat("a", 254)), with("redis.tls.serverName", strings.Repeat("a", 253))},

	"no expire anywhere": {"set spec.expire, or expire in every keyspace", with("expire", nil),
		with("expire", nil).and("keyspaces.0.expire", "1m").and("keyspaces.1.expire", "1m")},
	"expire for one keyspace of two": {"set spec.expire, or expire in every keyspace",
		with("expire", nil).and("keyspaces.0.expire", "1m"), with("keyspaces.0.expire", "1m")},
	"a malformed expire":        {"should match '^([0-9]{1,5}(h|m|s|ms)){1,4}$'", with("expire", "1d"), with("expire", "24h")},
	"an expire of 1d":           {"write an expire of 1s to 720h", with("expire", "1d"), with("expire", "24h")},
	"an expire of 1.5s":         {"write an expire of 1s to 720h", with("expire", "1.5s"), with("expire", "1s500ms")},
	"an expire of 999ms":        {"write an expire of 1s to 720h", with("expire", "999ms"), with("expire", "1s").and("refreshRatio", "50%")},
	"an expire of 721h":         {"write an expire of 1s to 720h", with("expire", "721h"), with("expire", "720h")},
	"an expire in seconds":      {"must be of type string", with("expire", 60), with("expire", "60s")},
	"a keyspace's expire of 0s": {"write an expire of 1s to 720h", with("keyspaces.0.expire", "0s"), with("keyspaces.0.expire", "1s")},
	"a guardTimeout of 99ms":    {"write a guardTimeout of 100ms to 5m", with("guardTimeout", "99ms"), with("guardTimeout", "100ms")},
	"a guardTimeout of 5m1ms":   {"write a guardTimeout of 100ms to 5m", with("guardTimeout", "5m1ms"), with("guardTimeout", "5m")},
	"a guardTimeout of 1d":      {"write a guardTimeout of 100ms to 5m", with("guardTimeout", "1d"), with("guardTimeout", "1m")},
	"a keyspace's guardTimeout of 1h": {"write a guardTimeout of 100ms to 5m",
		with("keyspaces.0.guardTimeout", "1h"), with("keyspaces.0.guardTimeout", "1m")},
	"a refreshRatio of 100%":             {"write a whole percentage from 1% to 99%", with("refreshRatio", "100%"), with("refreshRatio", "99%")},
	"a refreshRatio of 0%":               {"write a whole percentage from 1% to 99%", with("refreshRatio", "0%"), with("refreshRatio", "1%")},
	"a refreshRatio without %":           {"write a whole percentage from 1% to 99%", with("refreshRatio", "62"), with("refreshRatio", "62%")},
	"a refreshRatio of 62.5%":            {"write a whole percentage from 1% to 99%", with("refreshRatio", "62.5%"), with("refreshRatio", "63%")},
	"a refreshRatio that is a number":    {"must be of type string", with("refreshRatio", 62), with("refreshRatio", "62%")},
	"a keyspace's refreshRatio of 120%":  {"write a whole percentage from 1% to 99%", with("keyspaces.0.refreshRatio", "120%"), with("keyspaces.0.refreshRatio", "12%")},
	"a suspend that is a string":         {"must be of type boolean", with("suspend", "yes"), with("suspend", true)},
	"a load timeout of 9ms":              {"write a timeout of 10ms to 5m", with("keyspaces.0.loader.http.timeout", "9ms"), with("keyspaces.0.loader.http.timeout", "10ms")},
	"a load timeout of 1d":               {"write a timeout of 10ms to 5m", with("keyspaces.0.loader.http.timeout", "1d"), with("keyspaces.0.loader.http.timeout", "1s")},
	"a load timeout over 5m":             {"write a timeout of 10ms to 5m", with("keyspaces.0.loader.http.timeout", "5m1ms").and("guardTimeout", "5m"), with("keyspaces.0.loader.http.timeout", "5m").and("guardTimeout", "5m")},
	"a load timeout over the default":    {"must not be longer than its keyspace's guardTimeout", with("keyspaces.0.loader.http.timeout", "6s1ms"), with("keyspaces.0.loader.http.timeout", "6s")},
	"a load timeout over guardTimeout":   {"must not be longer than its keyspace's guardTimeout", with("keyspaces.0.loader.http.timeout", "3s").and("guardTimeout", "2s"), with("keyspaces.0.loader.http.timeout", "3s").and("guardTimeout", "3s")},
	"a load timeout over the keyspace's": {"must not be longer than its keyspace's guardTimeout", with("keyspaces.0.loader.http.timeout", "3s").and("keyspaces.0.guardTimeout", "2s"), with("keyspaces.0.loader.http.timeout", "3s").and("keyspaces.1.guardTimeout", "2s")},

	"no keyspaces":              {"should have at least 1 items", with("keyspaces", []any{}), keyspaces("product:{id}")},
	"33 keyspaces":              {"must have at most 32 items", keyspaces(many(33, "k%d:{id}")...), keyspaces(many(32, "k%d:{id}")...)},
	"a keyspace without a name": {"keyspaces[0].name: Required value", with("keyspaces.0.name", nil), with("keyspaces.0.name", "p")},
	"a keyspace's name in capitals": {"spec.keyspaces[0].name",
		with("keyspaces.0.name", "Products"), with("keyspaces.0.name", "products-2")},
	"a keyspace's name of 64 letters": {"keyspaces[0].name: Too long",
		with("keyspaces.0.name", strings.Repeat("a", 64)), with("keyspaces.0.name", strings.Repeat("a", 63))},
	"two keyspaces of one name": {"Duplicate value", with("keyspaces.0.name", "pages"), with("keyspaces.0.name", "pages2")},
	"a keyspace without a loader": {"keyspaces[0].loader: Required value",
		with("keyspaces.0.loader", nil), with("keyspaces.0.loader.maxConcurrent", 1)},
	"a loader of no kind":    {"loader.http: Required value", with("keyspaces.0.loader", map[string]any{"maxConcurrent": 1}), with("keyspaces.0.loader.maxConcurrent", 1)},
	"none may be not found":  {"should be greater than or equal to 1", with("keyspaces.0.maxNotFoundPercent", 0), with("keyspaces.0.maxNotFoundPercent", 1)},
	"101 % may be not found": {"should be less than or equal to 100", with("keyspaces.0.maxNotFoundPercent", 101), with("keyspaces.0.maxNotFoundPercent", 100)},
	"no concurrency":         {"should be greater than or equal to 1", with("keyspaces.0.loader.maxConcurrent", 0), with("keyspaces.0.loader.maxConcurrent", 1)},
	"a concurrency of 1001":  {"should be less than or equal to 1000", with("keyspaces.0.loader.maxConcurrent", 1001), with("keyspaces.0.loader.maxConcurrent", 1000)},
	"no loads per second":    {"should be greater than or equal to 1", with("keyspaces.0.loader.maxPerSecond", 0), with("keyspaces.0.loader.maxPerSecond", 1)},
	"100001 loads per second": {"should be less than or equal to 100000",
		with("keyspaces.0.loader.maxPerSecond", 100001), with("keyspaces.0.loader.maxPerSecond", 100000)},
	"bodies of no bytes": {"should be greater than or equal to 1", with("keyspaces.0.loader.http.maxBodyBytes", 0), with("keyspaces.0.loader.http.maxBodyBytes", 1)},
	"bodies over 64MiB": {"should be less than or equal to 67108864",
		with("keyspaces.0.loader.http.maxBodyBytes", 67108865), with("keyspaces.0.loader.http.maxBodyBytes", 67108864)},
	"batches of nothing":       {"should be greater than or equal to 1", batch("size", 0), batch("size", 1)},
	"batches of 1001":          {"should be less than or equal to 1000", batch("size", 1001), batch("size", 1000)},
	"a batch that is a number": {"must be of type object", with("keyspaces.0.loader.http.batch", 100).and("keyspaces.0.loader.http.url", "http://h/b"), batch("size", 100)},
	"a placeholder in a batch's url": {"take the placeholders out of the url, or take out batch",
		with("keyspaces.0.loader.http.url", "http://h/{id}").and("keyspaces.0.loader.http.batch.size", 100), batch("size", 100)},
	"the whole key in a batch's url": {"take the placeholders out of the url, or take out batch",
		with("keyspaces.0.loader.http.url", "http://h/?key={+key}").and("keyspaces.0.loader.http.batch.size", 100), with("keyspaces.0.loader.http.url", "http://h/?key={+key}")},
	"onMiss in other words": {`supported values: "Rebuild", "Ignore"`, with("keyspaces.0.onMiss", "Load"), with("keyspaces.0.onMiss", "Rebuild")},
	"misses without events": {"onMiss: Rebuild hears of misses by key events", with("keyspaces.0.onMiss", "Rebuild").and("redis.keyEvents", "Off"),
		with("keyspaces.0.onMiss", "Ignore").and("redis.keyEvents", "Off")},
	"keyEvents in other words":  {`supported values: "Auto", "Off", "Configure"`, with("redis.keyEvents", "On"), with("redis.keyEvents", "Configure")},
	"caching not-found answers": {`supported values: "Delete", "Keep"`, with("keyspaces.0.onNotFound", "Cache"), with("keyspaces.0.onNotFound", "Keep")},
}

// batch has the first keyspace be loaded in batches, with a field set.
func batch(field string, value any) change {
	return with("keyspaces.0.loader.http.url", "http://catalog.shop.svc/products:batch").and("keyspaces.0.loader.http.batch."+field, value)
}
