// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"strconv"
	"strings"

	goyaml "go.yaml.in/yaml/v3"
)

// Line is the line on which a field begins that is named as in the API server's
// errors, such as spec.keyspaces[0].key. Of a field that is not there, it is the
// line of what it should be in; 0 if no line is known.
func (d Document) Line(field string) int {
	line := d.first
	node := d.root
	for _, step := range steps(field) {
		next, at := child(node, step)
		if next == nil {
			break
		}
		node, line = next, at
	}
	return line
}

// Position is the file with the line of a field, as compilers write it.
func (d Document) Position(field string) string { return d.At(d.Line(field)) }

// At is the file with a line, where that is known.
func (d Document) At(line int) string {
	if line > 0 {
		return fmt.Sprintf("%s:%d", d.File, line)
	}
	return d.File
}

// node is the one that a field names, or nil.
func (d Document) node(field string) *goyaml.Node {
	node := d.root
	for _, step := range steps(field) {
		node, _ = child(node, step)
	}
	return node
}

// steps parts a field's path: spec.keyspaces[0].key has spec, keyspaces, 0, key.
func steps(field string) []string {
	return strings.FieldsFunc(field, func(r rune) bool { return strings.ContainsRune(".[]", r) })
}

// child is the value below a node, and the line on which it, or its key, stands.
func child(node *goyaml.Node, step string) (value *goyaml.Node, line int) {
	for node != nil && node.Kind == goyaml.AliasNode {
		node = node.Alias
	}
	if node == nil {
		return nil, 0
	}
	switch node.Kind {
	case goyaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1], node.Content[i].Line
			}
		}
	case goyaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i].Line
		}
	}
	return nil, 0
}
