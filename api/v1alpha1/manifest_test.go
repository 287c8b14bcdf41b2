// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// valid is the manifest that each spec changes.
const valid = `
apiVersion: cache.keepfresh.dev/v1alpha1
kind: CachePolicy
metadata: {name: catalog, namespace: default}
spec:
  redis:
    addresses: ["redis.shop.svc:6379"]
  expire: 60s
  keyspaces:
  - name: products
    key: "product:{id}"
    loader: {http: {url: "http://catalog.shop.svc/products/{id}"}}
  - name: pages
    key: "page:{locale}:{+path}"
    loader: {http: {url: "http://web.shop.svc/render?locale={locale}&path={path}"}}
`

// change says what is different from the valid manifest: values by path, such as
// keyspaces.0.key, below spec. A nil value removes the field.
type change map[string]any

// with is a change of one field.
func with(path string, value any) change { return change{path: value} }

// and adds the change of one more field.
func (c change) and(path string, value any) change {
	sum := change{path: value}
	for p, v := range c {
		sum[p] = v
	}
	return sum
}

// manifest returns the valid manifest with the change made. Values are taken as
// they would come from YAML, so that what is sent is what a user would write.
func manifest(c change) *unstructured.Unstructured {
	object := parse([]byte(valid))
	for _, path := range slices.Sorted(maps.Keys(c)) { // keyspaces before keyspaces.0.key
		set(object.Object["spec"], strings.Split(path, "."), plain(c[path]))
	}
	return object
}

// plain turns a value into what JSON knows.
func plain(value any) any {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	var decoded any
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		panic(err)
	}
	return decoded
}

// parse reads a manifest. Whole numbers stay whole.
func parse(manifest []byte) *unstructured.Unstructured {
	encoded, err := yaml.YAMLToJSON(manifest)
	if err != nil {
		panic(err)
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(encoded, &object.Object); err != nil {
		panic(err)
	}
	return object
}

func set(in any, path []string, value any) {
	name, last := path[0], len(path) == 1
	switch parent := in.(type) {
	case map[string]any:
		switch {
		case last && value == nil:
			delete(parent, name)
		case last:
			parent[name] = value
		default:
			if parent[name] == nil {
				parent[name] = map[string]any{}
			}
			set(parent[name], path[1:], value)
		}
	case []any:
		i, err := strconv.Atoi(name)
		if err != nil {
			panic(fmt.Sprintf("%q is not an index", name))
		}
		if last {
			parent[i] = value
		} else {
			set(parent[i], path[1:], value)
		}
	default:
		panic(fmt.Sprintf("nothing to set %q in", name))
	}
}

// keyspaces returns keyspaces that differ in nothing but these templates.
func keyspaces(templates ...string) change {
	var list []any
	for i, template := range templates {
		list = append(list, keyspace(fmt.Sprintf("k%d", i), template))
	}
	return with("keyspaces", list)
}

func keyspace(name, template string) map[string]any {
	return map[string]any{
		"name": name, "key": template,
		"loader": map[string]any{"http": map[string]any{"url": "http://catalog.shop.svc/{key}"}},
	}
}

// kept returns a keyspace with a template and the keys that are to be kept.
func kept(template string, keys ...string) change {
	k := keyspace("kept", template)
	k["source"] = map[string]any{"keys": keys}
	return with("keyspaces", []any{k})
}

// headers returns a keyspace whose loader sends these headers.
func headers(headers ...map[string]any) change {
	return with("keyspaces.0.loader.http.headers", headers)
}
