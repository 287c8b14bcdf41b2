// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// result is how a demo went.
type result struct {
	started   time.Time
	firstFill time.Time // when every policy was Ready for the first time; zero if never
	ended     time.Time

	policies  []policyState // at the end
	measured  measure       // at the end, too
	total     tally         // reads since the start
	sinceFill tally         // reads since the first fill
	loads     int64         // the operator's calls of the catalog
	refused   int64         // those with wrong headers
	waits     float64       // reads a second that would wait if nobody refreshed

	problems []string // what else went wrong, in sentences
}

// failures says in a sentence each what was expected and did not happen.
func (r *result) failures() []string {
	failed := append([]string{}, r.problems...)
	if r.firstFill.IsZero() {
		failed = append(failed, fmt.Sprintf("Not every policy was Ready within %s.", seconds(r.ended.Sub(r.started))))
	}
	if len(r.policies) == 0 {
		failed = append(failed, "There are no policies.")
	}
	for _, p := range r.policies {
		if !isTrue(p.ready) {
			failed = append(failed, fmt.Sprintf("Policy %s is not Ready but %s, %s: %s", p.name, p.ready.Status, p.ready.Reason, p.ready.Message))
		}
		if !isTrue(p.fresh) {
			failed = append(failed, fmt.Sprintf("Policy %s is not Fresh but %s, %s: %s", p.name, p.fresh.Status, p.fresh.Reason, p.fresh.Message))
		}
	}
	if !r.firstFill.IsZero() && r.sinceFill.misses > 0 {
		failed = append(failed, fmt.Sprintf("Readers missed %s times after every policy had been Ready.", number(r.sinceFill.misses)))
	}
	if !r.firstFill.IsZero() && r.sinceFill.reads == 0 {
		failed = append(failed, "Nothing was read after every policy had been Ready, so that nothing is shown.")
	}
	if r.total.failed > 0 {
		failed = append(failed, fmt.Sprintf("%s reads failed: Redis did not answer them.", number(r.total.failed)))
	}
	if r.refused > 0 {
		failed = append(failed, fmt.Sprintf("The catalog refused %s loads, for want of a header that the samples give.", number(r.refused)))
	}
	return failed
}

// summary says what happened, with numbers.
func (r *result) summary() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "  %s\t%s\n", what, fmt.Sprintf(format, args...))
	}
	_, _ = fmt.Fprintln(w, "\nSummary")
	ran := r.ended.Sub(r.started)
	if r.firstFill.IsZero() {
		line("ran for", "%s; not every policy became Ready", seconds(ran))
	} else {
		line("ran for", "%s; every policy was Ready after %s", seconds(ran), seconds(r.firstFill.Sub(r.started)))
	}
	o := overviewOf(r.policies)
	line("keys", "%s, fresh: %s", number(o.keys), o.freshShare())
	line("asked of Redis itself", "%s fresh, %s stale, %s missing",
		number(r.measured.fresh), number(r.measured.stale), number(r.measured.missing))
	line("loader calls", "%s by the operator", number(r.loads))
	if r.firstFill.IsZero() {
		line("reads", "%s: %s hits, %s misses", number(r.total.reads), number(r.total.hits()), number(r.total.misses))
		line("slow reads", "%s (over %s)", number(r.total.slow), slowRead)
	} else {
		t := r.sinceFill
		line("reads since Ready", "%s: %s hits, %s misses", number(t.reads), number(t.hits()), number(t.misses))
		line("slow reads since Ready", "%s (over %s)", number(t.slow), slowRead)
		line("without Keepfresh", "some %s of these reads would have found the key expired, and waited for the backend",
			number(int64(r.waits*r.ended.Sub(r.firstFill).Seconds())))
	}
	_ = w.Flush()

	text.WriteString("\n")
	_, _ = fmt.Fprintln(w, "  POLICY\tREADY\tFRESH\tKEYS\tREASON")
	for _, p := range r.policies {
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", p.name, p.ready.Status, p.fresh.Status, number(p.keys), p.ready.Reason)
	}
	_ = w.Flush()
	return text.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// expiryWaits is how many reads a second would find their key expired if nobody
// refreshed it: a key then lives for its expire, is missed by the next read, and
// is set by it, for n keys that are read at random at a rate of reads a second.
func expiryWaits(keys []appKey, reads float64) float64 {
	waits := 0.0
	for _, key := range keys {
		waits += 1 / (key.expire.Seconds() + float64(len(keys))/reads)
	}
	return waits
}
