//go:build chart

// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// schemas writes what kubeconform checks manifests against, one file for each
// kind, from the OpenAPI of the API server itself: there is nothing to download,
// and kinds of CRDs are among them. It returns kubeconform's -schema-location.
func (c *cluster) schemas(t *testing.T, groupVersions ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, gv := range groupVersions {
		var doc struct {
			Components struct{ Schemas map[string]map[string]any }
		}
		if err := json.Unmarshal([]byte(c.kubectl(t, "", "get", "--raw", "/openapi/v3/"+gv)), &doc); err != nil {
			t.Fatalf("OpenAPI of %s: %v", gv, err)
		}
		kinds := 0
		for _, schema := range doc.Components.Schemas {
			closeObjects(schema)
		}
		for name, schema := range doc.Components.Schemas {
			kind := kindOf(schema, gv)
			if kind == "" {
				continue
			}
			kinds++
			file, err := json.Marshal(map[string]any{
				"$ref":       "#/components/schemas/" + name,
				"components": map[string]any{"schemas": doc.Components.Schemas},
			})
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(folder, strings.ToLower(kind)+".json"), string(file))
		}
		if kinds == 0 {
			t.Fatalf("the API server's OpenAPI of %s has no kinds", gv)
		}
	}
	return filepath.Join(folder, "{{ .ResourceKind }}.json")
}

// kindOf names the kind that a schema is for, if it is one of the group.
func kindOf(schema map[string]any, groupVersion string) string {
	gvks, _ := schema["x-kubernetes-group-version-kind"].([]any)
	for _, entry := range gvks {
		gvk, _ := entry.(map[string]any)
		group, _ := gvk["group"].(string)
		version, _ := gvk["version"].(string)
		if groupVersion == "apis/"+group+"/"+version || groupVersion == "api/"+version && group == "" {
			kind, _ := gvk["kind"].(string)
			return kind
		}
	}
	return ""
}

// closeObjects has a schema refuse fields that it does not know, as the API
// server does.
func closeObjects(schema map[string]any) {
	_, isMap := schema["additionalProperties"]
	fields, hasFields := schema["properties"].(map[string]any)
	if keep, _ := schema["x-kubernetes-preserve-unknown-fields"].(bool); hasFields && !isMap && !keep {
		schema["additionalProperties"] = false
	}
	below := []any{schema["items"], schema["additionalProperties"], schema["not"]}
	for _, list := range []string{"allOf", "anyOf", "oneOf"} {
		parts, _ := schema[list].([]any)
		below = append(below, parts...)
	}
	for _, field := range fields {
		below = append(below, field)
	}
	for _, child := range below {
		if child, ok := child.(map[string]any); ok {
			closeObjects(child)
		}
	}
}
