// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"io"
	"strings"
)

// What a terminal is told; see xterm's control sequences.
const (
	enter     = "\x1b[?1049h\x1b[?25l" // the other screen, no cursor
	leave     = "\x1b[?25h\x1b[?1049l"
	home      = "\x1b[H"
	clearLine = "\x1b[K"
	clearRest = "\x1b[J"
)

// Live is a view that is drawn again and again: on a terminal over the last one,
// elsewhere below it. End has to be called.
type Live struct {
	out      io.Writer
	terminal bool
	begun    bool
	last     string
}

// NewLive makes a view.
func NewLive(out io.Writer) *Live { return &Live{out: out, terminal: IsTerminal(out)} }

// Terminal says whether the view is drawn over the last one, so that it can
// follow the clock.
func (l *Live) Terminal() bool { return l.terminal }

// Draw shows a view.
func (l *Live) Draw(view string) {
	if !l.terminal {
		l.append(view)
		return
	}
	if !l.begun {
		l.begun = true
		_, _ = fmt.Fprint(l.out, enter)
	}
	l.last = view
	width, height := size(l.out)
	lines := strings.Split(strings.TrimRight(Clip(view, width), "\n"), "\n")
	if height > 0 && len(lines) > height {
		lines = append(lines[:height-1], "…")
	}
	_, _ = fmt.Fprint(l.out, home+strings.Join(lines, clearLine+"\r\n")+clearLine+clearRest)
}

// append writes a view below the last one, if it is another.
func (l *Live) append(view string) {
	if view == l.last {
		return
	}
	if l.begun {
		view = "\n" + view
	}
	_, _ = fmt.Fprint(l.out, view)
	l.begun, l.last = true, strings.TrimPrefix(view, "\n")
}

// End gives the terminal back, with the last view left on it.
func (l *Live) End() {
	if l.terminal && l.begun {
		l.begun = false
		_, _ = fmt.Fprint(l.out, leave+l.last)
	}
}
