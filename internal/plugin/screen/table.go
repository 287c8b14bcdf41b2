// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Column is a column of a Table.
type Column struct {
	Title string
	Right bool // aligned to the right, as numbers are
	Width int  // wrapped beyond; 0 for no limit
}

// Table lays rows out in columns, three spaces apart, as kubectl does. Colours
// take no room.
func Table(columns []Column, rows [][]string) string {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Box = table.BoxStyle{PaddingRight: "   "}
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	t.SuppressTrailingSpaces()

	header := make(table.Row, len(columns))
	configs := make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		header[i] = c.Title
		configs[i] = table.ColumnConfig{Number: i + 1, WidthMax: c.Width, WidthMaxEnforcer: text.WrapSoft}
		if c.Right {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
	}
	t.AppendHeader(header)
	t.SetColumnConfigs(configs)
	for _, cells := range rows {
		row := make(table.Row, len(cells))
		for i, cell := range cells {
			row[i] = cell
		}
		t.AppendRow(row)
	}
	return t.Render() + "\n"
}

// Clip cuts what is wider than a number of columns off each line.
func Clip(s string, width int) string {
	if width <= 0 {
		return s
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = text.Snip(line, width, "…")
	}
	return strings.Join(lines, "\n")
}
