//go:build chart

// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"slices"
	"strings"
	"testing"

	sigsyaml "sigs.k8s.io/yaml"
)

// unwritten are names that Helm or Kubernetes know, and that have no default.
var unwritten = []string{
	".global", ".resources.claims",
	".livenessProbe.initialDelaySeconds", ".livenessProbe.successThreshold",
	".readinessProbe.initialDelaySeconds", ".readinessProbe.successThreshold",
}

// TestEveryValueIsInTheSchemaAndTheOtherWayRound: a value that only the schema
// knows would be missing in the README.
func TestEveryValueIsInTheSchemaAndTheOtherWayRound(t *testing.T) {
	var values, schema map[string]any
	for file, into := range map[string]any{"values.yaml": &values, "values.schema.json": &schema} {
		if err := sigsyaml.Unmarshal([]byte(read(t, chart, file)), into); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	definitions := schema["definitions"].(map[string]any)
	var compare func(path string, schema, values map[string]any)
	compare = func(path string, schema, values map[string]any) {
		if ref, _ := schema["$ref"].(string); ref != "" {
			schema = definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
		}
		properties, ok := schema["properties"].(map[string]any)
		if !ok {
			return
		}
		if open, isBool := schema["additionalProperties"].(bool); open || !isBool {
			t.Errorf("the schema of values%s takes names that it does not know", path)
		}
		for name, sub := range properties {
			value, known := values[name]
			if !known && !slices.Contains(unwritten, path+"."+name) {
				t.Errorf("values.yaml lacks %s.%s, which is in the schema", path, name)
			}
			// One that is empty, or a number, has nothing below it to compare.
			if child, _ := value.(map[string]any); len(child) > 0 {
				compare(path+"."+name, sub.(map[string]any), child)
			}
		}
		for name := range values {
			if _, known := properties[name]; !known {
				t.Errorf("the schema lacks %s.%s, which is in values.yaml", path, name)
			}
		}
	}
	compare("", schema, values)
}
