// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Command metrics writes docs/metrics.md from what the engine registers.
//
//	go run ./hack/metrics docs/metrics.md
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/template"

	"github.com/keepfresh/keepfresh/internal/refresher"
)

//go:embed metrics.md.tmpl
var page string

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "metrics:", err)
		os.Exit(1)
	}
}

func write(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: go run ./hack/metrics <file to write>")
	}
	t, err := template.New("metrics.md").Funcs(template.FuncMap{"prose": prose, "labels": labels}).Parse(page)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, refresher.Metrics()); err != nil {
		return err
	}
	return os.WriteFile(args[0], out.Bytes(), 0o644)
}

// prose makes a help text fit for Markdown.
func prose(help string) string {
	words := strings.Fields(help)
	for i, w := range words {
		bare := strings.TrimRight(w, ".,:;")
		if strings.ContainsAny(bare, "_<*") || strings.ContainsAny(bare, "=") {
			words[i] = "`" + bare + "`" + w[len(bare):]
		}
	}
	return strings.Join(words, " ")
}

// labels lists the labels, with the values of those that have few.
func labels(of []refresher.Label) string {
	var all []string
	for _, l := range of {
		text := "`" + l.Name + "`"
		if l.Values != nil {
			text += " (`" + strings.Join(l.Values, "`, `") + "`)"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}
