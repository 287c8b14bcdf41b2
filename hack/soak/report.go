// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
)

// heapSlack is by how much the heap may differ from the start: pools and buffers
// that the runtime keeps. The keys' own memory is many times this.
const heapSlack = 8 << 20

// report prints what happened, and fails if something did that must not.
func report(a *application, b *backend, before, after used) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	failed := false
	row := func(what string, ok bool, format string, args ...any) {
		verdict := "ok"
		if !ok {
			verdict, failed = "FAILED", true
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", what, fmt.Sprintf(format, args...), verdict)
	}
	_, _ = fmt.Fprintln(w)
	row("loads", b.loads.Load() > int64(len(a.keys)), "%d, %d of them failed", b.loads.Load(), b.failed.Load())
	row("applications", a.writes.Load() > 0 && a.deletes.Load() > 0 && a.reads.Load() > int64(len(a.keys)), "%d reads, %d writes, %d deletions, %d errors",
		a.reads.Load(), a.writes.Load(), a.deletes.Load(), a.errors.Load())
	row("keys lost", a.lost.Load() == 0, "%d", a.lost.Load())
	row("newer values overwritten", a.overwritten.Load() == 0, "%d", a.overwritten.Load())
	row("double loads", b.doubled.Load() == 0, "%d", b.doubled.Load())
	row("goroutines", after.goroutines <= before.goroutines, "%d, at the start %d", after.goroutines, before.goroutines)
	// The application's own record of the keys is in both.
	row("heap", after.heap < before.heap+heapSlack+a.size(), "%d MB, at the start %d MB", after.heap>>20, before.heap>>20)
	if err := w.Flush(); err != nil {
		return err
	}
	if failed {
		return errors.New("something happened that must not (see FAILED)")
	}
	return nil
}

// size is what the record of the keys takes.
func (a *application) size() uint64 { return uint64(len(a.keys)) * 48 }
