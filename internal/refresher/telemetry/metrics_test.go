// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"testing"
)

// A reason that is added later belongs among the values of its label.
func TestMetricsKnowAllReasons(t *testing.T) {
	for _, c := range []struct {
		file, kind string
		values     Label
		but        []string
	}{
		{"../loader/error.go", "Reason", resultLabel, []string{loaded}},
		{"../redisconn/health.go", "Reason", reasonLabel, []string{"NotConnected", "Connected"}},
		{"../rebuild/job.go", "Outcome", outcomeLabel, nil},
	} {
		want := constants(t, c.file, c.kind)
		have := slices.Clone(c.values.Values)
		for _, v := range c.but {
			if slices.Contains(want, v) {
				have = append(have, v)
			} else {
				have = slices.DeleteFunc(have, func(x string) bool { return x == v })
			}
		}
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("the label %s knows %v, and %s has %v", c.values.Name, have, c.file, want)
		}
	}
}

// constants are the values of a type's constants in a file, sorted.
func constants(t *testing.T, file, kind string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]bool{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == kind {
			for _, v := range spec.Values {
				value, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values[value] = true
			}
		}
		return true
	})
	return slices.Sorted(maps.Keys(values))
}
