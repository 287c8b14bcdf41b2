// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const text = `# a comment
---
# nothing in here
---
kind: CachePolicy
apiVersion: cache.keepfresh.dev/v1alpha1
spec:
  keyspaces:
  - name: products
    loader: {http: {url: "http://h/",
      timeout: 5s}}
--- # the next
kind: Again
apiVersion: v1
spec: {a: &a {name: n}, b: *a}
...
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Secret
- 7
--- {"apiVersion": "v1", "kind": "Inline",
"spec": 1}
`

func TestEachDocumentKeepsItsLines(t *testing.T) {
	type place struct {
		document int
		field    string
	}
	documents := Parse("f", text)
	for at, line := range map[place]int{
		{0, ""}: 5, {0, "spec"}: 7, {0, "spec.keyspaces"}: 8, {0, "spec.keyspaces[0]"}: 9, {0, "spec.keyspaces[0].name"}: 9,
		{0, "spec.keyspaces[0].loader.http.url"}: 10, {0, "spec.keyspaces[0].loader.http.timeout"}: 11,
		{0, "spec.keyspaces[0].loader.http.none"}: 10, {0, "spec.keyspaces[3].name"}: 8, {0, "metadata.name"}: 5,
		{1, "spec"}: 15, {1, "spec.b.name"}: 15, {2, "kind"}: 21, {3, ""}: 22, {4, "spec"}: 24,
	} {
		if got := documents[at.document].Line(at.field); got != line {
			t.Errorf("%s of document %d stands on line %d, not on %d", at.field, at.document, got, line)
		}
	}
	var kinds []string
	for _, d := range documents {
		if d.Err != nil {
			kinds = append(kinds, d.Err.Error())
		} else {
			kinds = append(kinds, d.Object.GetKind())
		}
	}
	if want := []string{"CachePolicy", "Again", "Secret", "this item of the List is no object", "Inline"}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("there are %q", kinds)
	}
	if got := documents[0].Position("spec"); got != "f:7" {
		t.Errorf("a position is %s", got)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	for content, want := range map[string]string{
		"a: [":                             "line 1",
		"apiVersion: v1\nkind: A\nkind: B": `"kind" already set`,
		"just text":                        "no object",
		"[1, 2]":                           "no object",
		"a: b":                             "apiVersion or kind is missing",
		"x: 1\n---\na: {":                  "line 3",
	} {
		documents := Parse("f", content)
		last := documents[len(documents)-1]
		if last.Err == nil || !strings.Contains(last.Err.Error(), want) {
			t.Errorf("%q: %v, want %s", content, last.Err, want)
		}
	}
	for _, content := range []string{"", "---\n---\n", "# nothing\n", "null\n"} {
		if documents := Parse("f", content); len(documents) != 0 {
			t.Errorf("%q: %d documents", content, len(documents))
		}
	}
}

func TestTheFilesOfAFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.yaml", "b.yml", "c.json", "d.txt", "sub/e.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("apiVersion: v1\nkind: Secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for recursive, want := range map[bool]string{false: "[a.yaml b.yml c.json]", true: "[a.yaml b.yml c.json sub/e.yaml]"} {
		found, err := Find(dir, recursive)
		if err != nil {
			t.Fatal(err)
		}
		for i := range found {
			found[i], _ = filepath.Rel(dir, found[i])
		}
		if got := fmt.Sprint(found); got != want {
			t.Errorf("recursive %v: %s, want %s", recursive, got, want)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "sub", "e.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(filepath.Join(dir, "sub"), true); err == nil || !strings.Contains(err.Error(), ".json, .yaml, .yml") {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := Find(filepath.Join(dir, "none"), false); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a path that is not there: %v", err)
	}
	if documents, err := Read(Stdin, strings.NewReader("apiVersion: v1\nkind: Secret\n")); err != nil || len(documents) != 1 || documents[0].File != "stdin" {
		t.Errorf("the standard input: %v, %v", documents, err)
	}
}
