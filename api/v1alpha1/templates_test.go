// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"fmt"
	"strings"
)

// templateRules are the rules on key templates, sources, urls and headers.
var templateRules = map[string]rule{
	"no key template":                 {"keyspaces[0].key: Required value", with("keyspaces.0.key", nil), keyspaces("home")},
	"an empty key template":           {"should be at least 1 chars long", keyspaces(""), keyspaces("h")},
	"a key template of 257 letters":   {"keyspaces[0].key: Too long", keyspaces(strings.Repeat("k", 257)), keyspaces(strings.Repeat("k", 256))},
	"a placeholder that is not ended": {"write placeholders as {name}", keyspaces("p:{id"), keyspaces("p:{id}")},
	"a brace on its own":              {"write {{ and }} for a brace", keyspaces("p:}x"), keyspaces("p:}}x")},
	"a hash tag in single braces":     {"write {{ and }} for a brace", keyspaces("user:{{id}:p"), keyspaces("user:{{{id}}}:p")},
	"a placeholder in capitals":       {"write placeholders as {name}", keyspaces("p:{Id}"), keyspaces("p:{iD_1}")},
	"a placeholder of 33 letters":     {"up to 31 letters", keyspaces("p:{" + strings.Repeat("a", 33) + "}"), keyspaces("p:{" + strings.Repeat("a", 32) + "}")},
	"a placeholder with an operator":  {"write placeholders as {name} or {+name}", keyspaces("p:{?id}"), keyspaces("p:{+id}")},
	"a line break in a key":           {"leave out control characters", keyspaces("p:\n{id}"), keyspaces("p: {id}")},
	"a reserved key":                  {"begin the key template with something other than keepfresh:", keyspaces("keepfresh:{id}"), keyspaces("keepfresh{id}")},
	"a placeholder named key":         {"give the placeholder a name other than key", keyspaces("p:{key}"), keyspaces("p:{key2}")},
	"a placeholder named +key":        {"give the placeholder a name other than key", keyspaces("p:{+key}"), keyspaces("p:{{key}}")},
	"placeholders side by side":       {"put text between two placeholders", keyspaces("p:{a}{b}"), keyspaces("p:{a}-{b}")},
	"placeholders beside a hash tag":  {"put text between two placeholders", keyspaces("p:{a}{+b}"), keyspaces("p:{a}}}{b}")},
	"a placeholder twice":             {"give each placeholder of the key template a name of its own", keyspaces("p:{a}:{a}"), keyspaces("p:{a}:{aa}")},
	"a placeholder twice, once +":     {"give each placeholder of the key template a name of its own", keyspaces("p:{a}:{+a}"), keyspaces("p:{a}:{{a}}")},
	"17 placeholders":                 {"use at most 16 placeholders in a key template", keyspaces(strings.Join(many(17, "{p%d}"), ":")), keyspaces(strings.Join(many(16, "{p%d}"), ":"))},

	"a source of no kind":     {"set exactly one of existing ({}) and keys", with("keyspaces.0.source", map[string]any{}), with("keyspaces.0.source.existing", map[string]any{})},
	"a source of two kinds":   {"set exactly one of existing ({}) and keys", kept("p:{id}", "p:1").and("keyspaces.0.source.existing", map[string]any{}), kept("p:{id}", "p:1")},
	"a source of no keys":     {"should have at least 1 items", kept("p:{id}", []string{}...).and("keyspaces.0.source.keys", []any{}), kept("p:{id}", "p:1")},
	"1001 keys":               {"must have at most 1000 items", kept("p:{id}", many(1001, "p:%d")...), kept("p:{id}", many(1000, "p:%d")...)},
	"a key of 257 letters":    {"source.keys[0]: Too long", kept("{id}", strings.Repeat("k", 257)), kept("{id}", strings.Repeat("k", 256))},
	"an empty key":            {"should be at least 1 chars long", kept("{id}", ""), kept("{id}", "1")},
	"a key twice":             {"Duplicate value", kept("p:{id}", "p:1", "p:1"), kept("p:{id}", "p:1", "p:2")},
	"a key of the operator's": {"keys that begin with keepfresh: are the operator's own", kept("{+any}", "keepfresh:guard:x"), kept("{+any}", "keepfresh-guard:x")},
	"a key of another prefix": {"begin and end as it does", kept("p:{id}", "q:1"), kept("p:{id}", "p:1")},
	"a key of another suffix": {"begin and end as it does", kept("p:{id}:home", "p:1:hom"), kept("p:{id}:home", "p:1:home")},
	"a key with nothing for the placeholder": {"with something in each placeholder's place",
		kept("p:{id}:home", "p::home"), kept("p:{id}:home", "p:x:home")},
	"a key that is not the literal one": {"begin and end as it does", kept("home", "home2"), kept("home", "home")},
	"a key without the hash tag":        {"begin and end as it does", kept("u:{{{id}}}:p", "u:42:p"), kept("u:{{{id}}}:p", "u:{42}:p")},
	"a key with a colon too many":       {"have as many colons as it does", kept("p:{id}", "p:1:2"), kept("p:{+id}", "p:1:2")},
	"a key with other text in between":  {"hold the text that stands between its placeholders", kept("u:{a}:orders:{b}", "u:1:oders:2"), kept("u:{a}:orders:{b}", "u:1:orders:2")},
	"a key with nothing before the text": {"hold the text that stands between its placeholders",
		kept("u:{a}-{b}", "u:-2"), kept("u:{a}-{b}", "u:--2")},

	"one template for two":        {"two keyspaces have the same key template", keyspaces("p:{id}-v{n}", "p:{sku}-v{m}"), keyspaces("p:{id}-v{n}", "p:{sku}-w{m}")},
	"segments that agree":         {"no key may match the key templates of two keyspaces", keyspaces("a:{x}:c", "a:b:{y}"), keyspaces("a:{x}:c", "a:b:{y}:z")},
	"a literal in a template":     {"no key may match the key templates of two keyspaces", keyspaces("page:home", "page:{name}"), keyspaces("page:home", "pages:{name}")},
	"prefixes in a segment":       {"no key may match the key templates of two keyspaces", keyspaces("p:v{n}", "p:{id}"), keyspaces("p:v{n}", "p:w{id}")},
	"suffixes in a segment":       {"no key may match the key templates of two keyspaces", keyspaces("p:{n}.json", "p:{id}"), keyspaces("p:{n}.json", "p:{id}.xml")},
	"hash tags":                   {"no key may match the key templates of two keyspaces", keyspaces("u:{{{id}}}:p", "u:{any}:p"), keyspaces("u:{{{id}}}:p", "u:{any}:q")},
	"a {+name} that takes in all": {"no key may match the key templates of two keyspaces", keyspaces("p:{+rest}", "p:{id}:x"), keyspaces("p:{+rest}", "q:{id}:x")},

	"no url":                        {"url: Required value", with("keyspaces.0.loader.http", map[string]any{}), url("http://h/{id}")},
	"a url of 1025 letters":         {"url: Too long", url("http://h/" + strings.Repeat("u", 1016)), url("http://h/{id}" + strings.Repeat("u", 1011))},
	"a url too short":               {"should be at least 8 chars long", url("http://"), url("http://h?{id}")},
	"ftp":                           {"begin the url with http:// or https://", url("ftp://h/x"), url("https://h/x/{id}")},
	"a path only":                   {"begin the url with http:// or https://", url("/products/{id}"), url("http://h/products/{id}")},
	"a password in the url":         {"take the user and password out of the url", url("http://u:p@h/"), url("http://h/u:p@h/{id}")},
	"a placeholder for the host":    {"keep placeholders out of the url's host and port", url("http://{id}/"), url("http://h/{id}")},
	"a placeholder behind the port": {"keep placeholders out of the url's host and port", url("http://h:8080{+id}"), url("http://h:8080?{+id}")},
	"no host":                       {"write a host, and at most a port", url("http:///products"), url("http://h/products/{id}")},
	"a host of two dots":            {"leave out the empty part of the url's host name", url("http://catalog..svc/{id}"), url("http://catalog.shop.svc.cluster.local./{id}")},
	"a host in Unicode":             {"write an international host name in its ASCII form", url("http://bücher.example/{id}"), url("http://xn--bcher-kva.example/{id}")},
	"a host with a zone":            {"leave the zone", url("http://[fe80::1%25eth0]/{id}"), url("http://_catalog.my_shop.:8080/{id}")},
	"a host of a dot":               {"write a host, and at most a port", url("http://./{id}"), url("http://a./{id}")},
	"a port too high":               {"write a host, and at most a port", url("http://h:65536/"), url("http://[::1]:65535/{id}")},
	"a fragment":                    {"take the fragment out of the url", url("http://h/x#top"), url("http://h/x%23top/{id}")},
	"an operator of RFC 6570":       {"use only {name} and {+name} as placeholders in the url", url("http://h/{?id}"), url("http://h/?id={id}")},
	"a space in the url":            {"percent-encode braces, spaces", url("http://h/a b"), url("http://h/a%20b/{id}")},
	"a brace in the url":            {"percent-encode braces, spaces", url("http://h/{{id}}"), url("http://h/%7B{id}%7D")},
	"a broken percent-encoding":     {"percent-encode braces, spaces", url("http://h/100%"), url("http://h/100%25/{id}")},
	"17 placeholders in the url":    {"use at most 16 placeholders in a url", url("http://h/" + strings.Repeat("{key}", 17)), url("http://h/" + strings.Repeat("{+key}", 16))},
	"a placeholder of no key":       {"use in the url only placeholders that the key template has", url("http://h/{sku}"), url("http://h/{id}/{+id}/{key}/{+key}")},
	"a url without placeholders":    {"put a placeholder of the key template into the url", url("http://h/x"), url("http://h/x?{+key}")},
	"but for one key":               {"put a placeholder of the key template into the url", url("http://h/x"), url("http://h/x").and("keyspaces.0.key", "{{home}}")},
	"a placeholder that is literal": {"use in the url only placeholders that the key template has", with("keyspaces.0.key", "p:{{id}}"), with("keyspaces.0.key", "p:{{{id}}}")},

	"a header without a name":    {"name: Required value", headers(header(nil, "x")), headers(header("X", "x"))},
	"a header name with a space": {"write a header name of letters, digits and hyphens", headers(header("X Y", "x")), headers(header("X-Y", "x"))},
	"the header Host":            {"leave this header out", headers(header("Host", "x")), headers(header("X-Forwarded-Host", "x"))},
	"the header content-length":  {"leave this header out", headers(header("content-length", "1")), headers(header("content-language", "en"))},
	"the header Connection":      {"leave this header out", headers(header("Connection", "close")), headers(header("Accept", "text/html"))},
	"the header Range":           {"leave this header out", headers(header("Range", "bytes=0-1")), headers(header("X-Range", "bytes=0-1"))},
	"a header of 1025 letters":   {"value: Too long", headers(header("X", strings.Repeat("x", 1025))), headers(header("X", strings.Repeat("x", 1024)))},
	"a header with a line break": {"leave control characters such as line breaks out", headers(header("X", "a\r\nHost: b")), headers(header("X", "a b"))},
	"a header name too long":     {"name: Too long", headers(header(strings.Repeat("X", 129), "x")), headers(header(strings.Repeat("X", 128), "x"))},
	"a header without a value":   {"set exactly one of value and valueFrom", headers(header("X", nil)), headers(header("X", ""))},
	"a header with two values": {"set exactly one of value and valueFrom",
		headers(map[string]any{"name": "X", "value": "x", "valueFrom": secretKey("s", "k")}),
		headers(map[string]any{"name": "X", "valueFrom": secretKey("s", "k")})},
	"a header from nowhere": {"secretKeyRef: Required value",
		headers(map[string]any{"name": "X", "valueFrom": map[string]any{}}),
		headers(map[string]any{"name": "X", "valueFrom": secretKey("s", "k")})},
	"a header's Secret with a bad name": {"secretKeyRef.name",
		headers(map[string]any{"name": "X", "valueFrom": secretKey("other/s", "k")}),
		headers(map[string]any{"name": "X", "valueFrom": secretKey("s", "k")})},
	"a header's Secret with a bad key": {"secretKeyRef.key",
		headers(map[string]any{"name": "X", "valueFrom": secretKey("s", "")}),
		headers(map[string]any{"name": "X", "valueFrom": secretKey("s", "k")})},
	"a header twice":        {"Duplicate value", headers(header("X", "1"), header("X", "2")), headers(header("X", "1"), header("Y", "2"))},
	"a header in two cases": {"name each header once", headers(header("Accept", "1"), header("accept", "2")), headers(header("Accept", "1"), header("accept2", "2"))},
	"17 headers":            {"must have at most 16 items", headers(manyHeaders(17)...), headers(manyHeaders(16)...)},
}

func url(template string) change { return with("keyspaces.0.loader.http.url", template) }

func header(name, value any) map[string]any {
	h := map[string]any{}
	if name != nil {
		h["name"] = name
	}
	if value != nil {
		h["value"] = value
	}
	return h
}

func secretKey(name, key string) map[string]any {
	return map[string]any{"secretKeyRef": map[string]any{"name": name, "key": key}}
}

// many returns n strings that differ in a number.
func many(n int, format string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}

func manyHeaders(n int) []map[string]any {
	list := make([]map[string]any, n)
	for i, name := range many(n, "X-%d") {
		list[i] = header(name, "x")
	}
	return list
}
