// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifest reads the objects in YAML and JSON files as kubectl would,
// and remembers on which line each field stands.
package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	goyaml "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// Stdin is the name by which a file means the standard input.
const Stdin = "-"

// extensions are those of the files that are read in a folder, as by kubectl.
var extensions = []string{".json", ".yaml", ".yml"}

// Document is one object of a file, or what is there instead of it.
type Document struct {
	File   string
	Object *unstructured.Unstructured // nil if there is an error
	Err    error                      // why it could not be read

	root  *goyaml.Node // nil if no line is known
	first int
}

// Find returns the paths of the files that a name stands for: itself, or those
// in the folder.
func Find(name string, recursive bool) ([]string, error) {
	if name == Stdin {
		return []string{name}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("the path %q cannot be read: %w", name, errors.Unwrap(err))
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	var found []string
	err = filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != name && !recursive:
			return filepath.SkipDir
		case !entry.IsDir() && slices.Contains(extensions, filepath.Ext(path)):
			found = append(found, path)
		}
		return nil
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("the folder %q holds no file that ends in %s", name, strings.Join(extensions, ", "))
	}
	return found, err
}

// Read reads the documents of a file; empty ones are left out.
func Read(path string, stdin io.Reader) ([]Document, error) {
	var text []byte
	var err error
	if path == Stdin {
		path = "stdin"
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(path) //nolint:gosec // the user says which file to read
	}
	if err != nil {
		return nil, err
	}
	return Parse(path, string(text)), nil
}

// Parse reads the documents in a text.
func Parse(file, text string) []Document {
	var documents []Document
	for _, part := range split(text) {
		documents = append(documents, parse(file, part)...)
	}
	return documents
}

// split parts a text at its document markers. In place of what is left out each
// part has empty lines, so that its lines keep their numbers.
func split(text string) []string {
	var parts []string
	var part strings.Builder
	number := 0
	for line := range strings.Lines(text) {
		rest, marks := strings.CutPrefix(line, "---")
		if !marks {
			rest, marks = strings.CutPrefix(line, "...")
		}
		if marks && (strings.TrimSpace(rest) == "" || strings.ContainsAny(rest[:1], " \t")) {
			parts = append(parts, part.String())
			part.Reset()
			part.WriteString(strings.Repeat("\n", number))
			line = "   " + rest
		}
		part.WriteString(line)
		number++
	}
	return append(parts, part.String())
}

// parse reads one document, which has several objects if it is a List.
func parse(file, text string) []Document {
	d := Document{File: file}
	var tree goyaml.Node
	if goyaml.Unmarshal([]byte(text), &tree) == nil && len(tree.Content) == 1 {
		d.root, d.first = tree.Content[0], tree.Content[0].Line
	}
	encoded, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		d.Err = err
		return []Document{d}
	}
	var content any
	if err := json.Unmarshal(encoded, &content); err != nil {
		d.Err = err
		return []Document{d}
	}
	if content == nil {
		return nil
	}
	fields, ok := content.(map[string]any)
	if !ok {
		d.Err = errors.New("this is no object: it should begin with apiVersion and kind")
		return []Document{d}
	}
	d.Object = &unstructured.Unstructured{Object: fields}
	switch {
	case d.Object.GetAPIVersion() == "" || d.Object.GetKind() == "":
		d.Object, d.Err = nil, errors.New("apiVersion or kind is missing: they say what the object is")
	case d.Object.IsList() && d.Object.GetAPIVersion() == "v1":
		return d.items()
	}
	return []Document{d}
}

// items are the objects of a List.
func (d Document) items() []Document {
	var out []Document
	items, _ := d.Object.Object["items"].([]any)
	for i, item := range items {
		one := Document{File: d.File, root: d.node(fmt.Sprintf("items[%d]", i))}
		if one.root != nil {
			one.first = one.root.Line
		}
		if fields, ok := item.(map[string]any); ok {
			one.Object = &unstructured.Unstructured{Object: fields}
		} else {
			one.Err = errors.New("this item of the List is no object")
		}
		out = append(out, one)
	}
	return out
}
