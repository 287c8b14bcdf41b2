// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keepfresh/keepfresh/internal/refresher"
)

// A page, an alert or a panel that names a metric which there is not shows nothing.
func TestEveryMetricThatIsNamedExists(t *testing.T) {
	exists := map[string]bool{"keepfresh_build_info": true}
	for _, m := range refresher.Metrics() {
		exists[m.Name] = true
		if m.Type == "histogram" {
			exists[m.Name+"_bucket"], exists[m.Name+"_sum"], exists[m.Name+"_count"] = true, true, true
		}
	}
	name, named := regexp.MustCompile(`\bkeepfresh_[a-z_]+`), 0
	for _, root := range []string{"../README.md", ".", "../dashboards", "../charts"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !slices.Contains([]string{".md", ".yaml", ".json"}, filepath.Ext(path)) {
				return err
			}
			text, err := os.ReadFile(path)
			for _, found := range name.FindAllString(string(text), -1) {
				if named++; !exists[strings.TrimSuffix(found, "_")] {
					t.Errorf("%s names %s, which there is not", path, found)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if named < 100 {
		t.Errorf("only %d names were found", named)
	}
}
