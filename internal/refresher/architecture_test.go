// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers are the engine's packages from the top down. Each may import those of lower
// layers only; those of one layer know nothing of each other.
var layers = [][]string{
	{"."},
	{"keyspaceworker"},
	{"keyspaceworker/tracker", "telemetry"},
	{"rebuild"},
	{"store"},
	{"watch", "discover", "loader/http"},
	{"loader", "loader/http/direct", "redisconn"},
	{"keyspace", "guard", "schedule", "pacing", "wake"},
}

func TestImportsGoOneWay(t *testing.T) {
	layer := map[string]int{}
	for i, packages := range layers {
		for _, p := range packages {
			layer[p] = i
		}
	}
	for p, imports := range engineImports(t) {
		at, known := layer[p]
		if !known {
			t.Errorf("package %s is in no layer: put it into the picture of docs/design.md, and here", p)
			continue
		}
		for _, other := range imports {
			if layer[other] <= at {
				t.Errorf("package %s imports %s, which is not below it", p, other)
			}
		}
	}
}

// The picture has an arrow for each import but those of the lowest layers, which anybody
// may use.
func TestThePictureOfThePackagesIsTrue(t *testing.T) {
	docs, err := os.ReadFile("../../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, picture, _ := strings.Cut(string(docs), "<!-- packages -->")
	picture, _, found := strings.Cut(picture, "<!-- /packages -->")
	if !found {
		t.Fatal("docs/design.md has no picture of the packages")
	}
	arrow := regexp.MustCompile("(?m)^\\| `([a-z/.]+)` \\|[^|]*\\| ([^|]*) \\|$")
	drawn := map[string][]string{}
	for _, row := range arrow.FindAllStringSubmatch(picture, -1) {
		drawn[row[1]] = nil
		for _, to := range regexp.MustCompile("`([a-z/]+)`").FindAllStringSubmatch(row[2], -1) {
			drawn[row[1]] = append(drawn[row[1]], to[1])
		}
	}
	imports := engineImports(t)
	for p, all := range imports {
		slices.Sort(drawn[p])
		if !slices.Equal(drawn[p], all) {
			t.Errorf("package %s imports %q, and the picture has %q", p, all, drawn[p])
		}
	}
	for p := range drawn {
		if _, there := imports[p]; !there {
			t.Errorf("the picture has %s, which there is not", p)
		}
	}
}

// engineImports are the engine's packages that each of them imports, tests aside, sorted.
func engineImports(t *testing.T) map[string][]string {
	t.Helper()
	const prefix = "github.com/keepfresh/keepfresh/internal/refresher/"
	all := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		p := filepath.ToSlash(filepath.Dir(path))
		all[p] = slices.Clip(all[p])
		for _, i := range file.Imports {
			name, _ := strconv.Unquote(i.Path.Value)
			if other, ours := strings.CutPrefix(name, prefix); ours && !slices.Contains(all[p], other) {
				all[p] = append(all[p], other)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, imports := range all {
		slices.Sort(imports)
	}
	return all
}
