// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what keeping a cache fresh costs, next to what the
// bare work costs: on a real Redis, with the loader in a process of its own.
// Where a row is a ratio, its two sides take turns in one run; the value is the
// median over the rounds.
//
//	bench [-cpuprofile FILE] [row...]    all rows, if none is named
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// rounds is over how many a median is taken at least.
const rounds = 5

// result is one line of bench.tsv.
type result struct {
	name  string
	value float64
	unit  string
	bar   bar
}

// bar is what a result is held against.
type bar struct {
	limit   float64
	atLeast bool // else at most
}

func (b bar) String() string {
	if b.atLeast {
		return fmt.Sprintf("≥ %g", b.limit)
	}
	return fmt.Sprintf("≤ %g", b.limit)
}

func (r result) held() bool {
	if r.bar.atLeast {
		return r.value >= r.bar.limit
	}
	return r.value <= r.bar.limit
}

// benchmark measures the rows that it names together.
type benchmark struct {
	rows map[string]bar
	run  func(context.Context, *stage) (map[string]measured, error)
}

type measured struct {
	value float64
	unit  string
}

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == loaderCommand:
		serveLoads()
		return
	case len(os.Args) == 3 && applications[os.Args[1]] != nil:
		if err := applications[os.Args[1]](os.Args[2]); err != nil {
			log.Fatal(err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	profile := flag.String("cpuprofile", "", "`file` to write where the time of both sides went to")
	flag.Parse()
	if err := profiled(*profile, func() error { return run(ctx, flag.Args()) }); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// profiled calls f, and writes a profile of that if it is wanted.
func profiled(path string, f func() error) error {
	if path == "" {
		return f()
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}

func run(ctx context.Context, wanted []string) error {
	if err := known(wanted); err != nil {
		return err
	}
	var results []result
	for _, b := range benchmarks {
		if len(wanted) > 0 && !slices.ContainsFunc(wanted, func(name string) bool { _, ok := b.rows[name]; return ok }) {
			continue
		}
		found, err := one(ctx, b)
		if err != nil {
			return err
		}
		for _, name := range sorted(found) {
			if len(wanted) == 0 || slices.Contains(wanted, name) {
				results = append(results, result{name, found[name].value, found[name].unit, b.rows[name]})
			}
		}
	}
	if err := write("bin/bench.tsv", results); err != nil {
		return err
	}
	return show(results)
}

func one(ctx context.Context, b benchmark) (map[string]measured, error) {
	names := strings.Join(sorted(b.rows), ", ")
	fmt.Printf("bench: %s\n", names)
	began := time.Now()
	s, err := newStage(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	found, err := b.run(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", names, err)
	}
	fmt.Printf("bench:   took %s\n", time.Since(began).Round(time.Second))
	return found, nil
}

func known(wanted []string) error {
	var names []string
	for _, b := range benchmarks {
		names = append(names, sorted(b.rows)...)
	}
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return fmt.Errorf("there is no row %s; there are %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// write keeps the rows of a former run that this one did not measure.
func write(path string, results []result) error {
	lines := map[string]string{}
	before, _ := os.ReadFile(path)
	for line := range strings.Lines(string(before)) {
		name, _, _ := strings.Cut(line, "\t")
		lines[name] = line
	}
	for _, r := range results {
		lines[r.name] = fmt.Sprintf("%s\t%.4g\t%s\n", r.name, r.value, r.unit)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var all strings.Builder
	for _, name := range sorted(lines) {
		all.WriteString(lines[name])
	}
	return os.WriteFile(path, []byte(all.String()), 0o644)
}

// show prints the table, and fails if a bar was missed.
func show(results []result) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nROW\tVALUE\tUNIT\tBAR\t")
	var missed []string
	for _, r := range results {
		verdict := "held"
		if !r.held() {
			verdict = "MISSED"
			missed = append(missed, r.name)
		}
		_, _ = fmt.Fprintf(w, "%s\t%.4g\t%s\t%s\t%s\n", r.name, r.value, r.unit, r.bar, verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Println("\nbench: bin/bench.tsv has these, and what former runs measured beside them")
	if len(missed) > 0 {
		return fmt.Errorf("%d bars missed: %s", len(missed), strings.Join(missed, ", "))
	}
	return nil
}
