// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package screen is how the plugin writes to a terminal, and to what is none:
// colours, tables, bars, and a view that is drawn anew.
package screen

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fatih/color"
	"golang.org/x/term"
)

// Palette colours text by what it means. The zero Palette leaves it plain.
type Palette struct{ on bool }

// Modes are the values of --color.
var Modes = []string{"auto", "always", "never"}

// NewPalette returns the palette for an output. In mode auto there are colours on
// a terminal that has them, unless NO_COLOR says that nobody wants any
// (https://no-color.org).
func NewPalette(mode string, out io.Writer) (Palette, error) {
	switch mode {
	case "always":
		return Palette{true}, nil
	case "never":
		return Palette{}, nil
	case "auto":
		return Palette{IsTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}, nil
	}
	return Palette{}, fmt.Errorf("--color is %q; it takes %s", mode, strings.Join(Modes, ", "))
}

// IsTerminal says whether people read what is written there.
func IsTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Width is how many columns a terminal has, or 0.
func Width(out io.Writer) int {
	width, _ := size(out)
	return width
}

func size(out io.Writer) (width, height int) {
	if file, ok := out.(*os.File); ok {
		width, height, _ = term.GetSize(int(file.Fd()))
	}
	return width, height
}

// Good is for what is as it should be.
func (p Palette) Good(s string) string { return p.paint(s, color.FgGreen) }

// Bad is for what is not.
func (p Palette) Bad(s string) string { return p.paint(s, color.FgRed) }

// Warn is for what is on its way, or not advisable.
func (p Palette) Warn(s string) string { return p.paint(s, color.FgYellow) }

// Strong is for what one looks for.
func (p Palette) Strong(s string) string { return p.paint(s, color.Bold) }

// Faint is for what can be passed over.
func (p Palette) Faint(s string) string { return p.paint(s, color.Faint) }

func (p Palette) paint(s string, as color.Attribute) string {
	if !p.on || s == "" {
		return s
	}
	c := color.New(as)
	c.EnableColor() // whatever the library thinks of the standard output
	return c.Sprint(s)
}

// Bar draws the parts of a whole side by side: good, then bad, and the rest
// empty. A part that is not nothing is never drawn as nothing.
func (p Palette) Bar(good, bad, whole int64, width int) string {
	if whole <= 0 {
		return p.Faint(strings.Repeat("·", width))
	}
	b := cells(bad, whole, width)
	if good > 0 {
		b = min(b, width-1)
	}
	g := min(cells(good, whole, width), width-b)
	if good+bad >= whole { // rounding leaves no gap
		g = width - b
	}
	return p.Good(strings.Repeat("█", g)) + p.Bad(strings.Repeat("▒", b)) + p.Faint(strings.Repeat("·", width-g-b))
}

func cells(part, whole int64, width int) int {
	if part <= 0 {
		return 0
	}
	return max(1, min(width, int(float64(part)/float64(whole)*float64(width))))
}
