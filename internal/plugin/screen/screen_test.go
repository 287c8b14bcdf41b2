// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestColours(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	for mode, want := range map[string]string{"always": "\x1b[32mfine\x1b[0m", "never": "fine", "auto": "fine"} {
		p, err := NewPalette(mode, &bytes.Buffer{}) // no terminal
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Good("fine"); got != want {
			t.Errorf("%s: %q, want %q", mode, got, want)
		}
	}
	if _, err := NewPalette("pink", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "auto, always, never") {
		t.Errorf("pink: %v", err)
	}
	if p, _ := NewPalette("always", nil); p.Bad("") != "" {
		t.Error("nothing is painted")
	}
}

func TestAFileIsNoTerminal(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if IsTerminal(file) || IsTerminal(&bytes.Buffer{}) || Width(file) != 0 {
		t.Error("it is taken for one")
	}
}

func TestBars(t *testing.T) {
	for sentence, c := range map[string]struct {
		good, bad, whole int64
		want             string
	}{
		"all is well":             {10, 0, 10, "██████████"},
		"nothing is":              {0, 10, 10, "▒▒▒▒▒▒▒▒▒▒"},
		"half is":                 {5, 5, 10, "█████▒▒▒▒▒"},
		"one bad one is seen":     {999999, 1, 1000000, "█████████▒"},
		"one good one is seen":    {1, 999999, 1000000, "█▒▒▒▒▒▒▒▒▒"},
		"thirds leave no gap":     {1, 2, 3, "████▒▒▒▒▒▒"},
		"the rest is empty":       {3, 0, 10, "███·······"},
		"there is nothing at all": {0, 0, 0, "··········"},
	} {
		got := Palette{}.Bar(c.good, c.bad, c.whole, 10)
		if got != c.want {
			t.Errorf("%s: %s, want %s", sentence, got, c.want)
		}
	}
}

func TestATableKeepsItsColumnsWhateverIsPainted(t *testing.T) {
	columns := []Column{{Title: "NAME"}, {Title: "KEYS", Right: true}, {Title: "MESSAGE", Width: 12}}
	rows := [][]string{{"schlüssel", "7", "short"}, {"b", "1200", "a message of many words"}}
	want := `
NAME        KEYS   MESSAGE
schlüssel      7   short
b           1200   a message of
                   many words
`[1:]
	if got := Table(columns, rows); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p, _ := NewPalette("always", nil)
	rows[0][0] = p.Bad(rows[0][0])
	if got := strings.NewReplacer("\x1b[31m", "", "\x1b[0m", "").Replace(Table(columns, rows)); got != want {
		t.Errorf("painted it is\n%s", got)
	}
}

func TestClip(t *testing.T) {
	if got, want := Clip("abcdef\nab\n", 4), "abc…\nab\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Clip("abcdef", 0); got != "abcdef" {
		t.Errorf("without a width: %q", got)
	}
}

func TestWhereThereIsNoTerminalViewsFollowEachOther(t *testing.T) {
	var out bytes.Buffer
	l := NewLive(&out)
	for _, view := range []string{"one\n", "one\n", "two\n"} {
		l.Draw(view)
	}
	l.End()
	if got, want := out.String(), "one\n\ntwo\n"; got != want || l.Terminal() {
		t.Errorf("%q, want %q", got, want)
	}
}
