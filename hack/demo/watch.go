// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// patience is how long the table waits for the API server.
const patience = 3 * time.Second

// watch has the readers read, and prints how things stand each second, until
// the time is up, the operator ends, or ctx does.
func (d *demo) watch(ctx context.Context) {
	r := &d.outcome
	r.started = time.Now()
	d.app.read(context.WithoutCancel(ctx))
	var timeUp <-chan time.Time
	if d.config.duration > 0 {
		timeUp = time.After(d.config.duration)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	table := &live{}
	for {
		d.look(ctx, table)
		select {
		case <-ctx.Done():
			return
		case <-timeUp:
			return
		case <-d.operator.exited:
			r.problems = append(r.problems, sentence(d.operator.death()))
			return
		case <-tick.C:
		}
	}
}

// look prints a line, and more when every policy is Ready for the first time.
func (d *demo) look(ctx context.Context, table *live) {
	r := &d.outcome
	asking, cancel := context.WithTimeout(ctx, patience)
	states, err := listPolicies(asking, d.plane.client)
	cancel()
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		r.policies = states
	} else if !table.silent {
		fmt.Println(sentence(err)) // once: the readers go on, and so does the table
	}
	table.silent = err != nil
	count := d.app.count.now()
	s := sample{at: time.Now(), overview: overviewOf(states), reads: count, total: count.reads, loads: d.catalog.loads.Load()}
	if !r.firstFill.IsZero() {
		s.reads = count.since(d.atFill)
	}
	fmt.Print(table.next(s))
	if r.firstFill.IsZero() && s.overview.policies > 0 && s.overview.ready == s.overview.policies {
		r.firstFill, d.atFill = s.at, count
		d.introduce(ctx)
		table.lines = 0 // a header comes next
	}
}

// introduce says what one can do with a demo that is Ready.
func (d *demo) introduce(ctx context.Context) {
	fmt.Printf("\nEvery policy is Ready, %s after they were applied. From here on, no read may miss.\n\n",
		seconds(time.Since(d.outcome.started)))
	fmt.Println("$ kubectl get cachepolicies")
	out, err := getPolicies(ctx, d.config.assets, d.kubeconfig, d.plane.env.Config)
	if err != nil {
		out = fmt.Sprintln(err)
	}
	fmt.Print(out)

	fmt.Println("\nLook around in another terminal:")
	fmt.Printf("  export KUBECONFIG=%s\n", d.kubeconfig)
	if _, err := exec.LookPath("kubectl"); err != nil {
		if kubectl := findKubectl(d.config.assets); kubectl != "" {
			fmt.Printf("  alias kubectl=%s\n", kubectl)
		} else {
			fmt.Println("  # there is no kubectl here; https://kubernetes.io/docs/tasks/tools/ has it")
		}
	}
	name := d.outcome.policies[0].name
	fmt.Println("  kubectl get cachepol -o wide")
	fmt.Printf("  kubectl describe cachepol %s\n", name)
	fmt.Printf("  kubectl annotate cachepol %s --overwrite cache.keepfresh.dev/refresh-requested-at=\"$(date)\"   # reload every key now\n", name)
	fmt.Printf("  kubectl patch cachepol %s --type=merge -p '{\"spec\":{\"suspend\":true}}'   # and see the readers miss\n", name)
	fmt.Printf("  curl -s %s | grep ^keepfresh_\n", d.operator.metrics)
	fmt.Printf("  tail -f %s\n", d.operatorLog)
	if d.config.duration == 0 {
		fmt.Println("Ctrl-C ends it, and prints a summary.")
	}
}

// finish takes stock, stops everything, and returns how it went.
func (d *demo) finish() *result {
	r := &d.outcome
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r.ended = time.Now()
	r.total = d.app.count.now()
	r.sinceFill = r.total.since(d.atFill)
	r.loads, r.refused = d.catalog.loads.Load(), d.catalog.refused.Load()
	if states, err := listPolicies(ctx, d.plane.client); err == nil {
		r.policies = states
	} else {
		r.problems = append(r.problems, sentence(err))
	}
	var err error
	if r.measured, err = d.app.measure(ctx); err != nil {
		r.problems = append(r.problems, sentence(err))
	}
	rate := float64(r.total.reads) / r.ended.Sub(r.started).Seconds()
	r.waits = d.app.waits(rate)

	fmt.Println()
	if err := step(ctx, "Stopping everything", d.stop); err != nil {
		r.problems = append(r.problems, sentence(err))
	}
	return r
}
