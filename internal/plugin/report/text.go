// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/human"
	"github.com/keepfresh/keepfresh/internal/plugin/screen"
)

const (
	barWidth     = 20
	messageWidth = 72
	none         = "-"
)

// View is how reports are written as text.
type View struct {
	screen.Palette
	Now  time.Time
	Bars bool
}

// Policy writes all that is reported of one policy.
func (v View) Policy(p Policy) string {
	var b strings.Builder
	headline(&b, v, p)
	fmt.Fprintf(&b, "\n%s\n%s", v.conditions(p), v.keyspaces(p))
	b.WriteString(v.failures(p))
	return b.String()
}

func headline(b *strings.Builder, v View, p Policy) {
	fmt.Fprintf(b, "%s  %s\n", v.Strong(p.Namespace+"/"+p.Name), v.verdict(p))
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "%-14s %s\n", name+":", fmt.Sprintf(format, args...))
	}
	line("Message", "%s", p.Message)
	if p.Silent {
		line("Silence", "%s", v.Bad(v.silence(p)))
	}
	line("Redis", "%s, database %d", p.Redis, p.Database)
	if p.Keys != nil {
		bar := ""
		if v.Bars {
			bar = v.bar(*p.Keys, *p.Stale, *p.Missing, barWidth*2) + " "
		}
		line("Fresh", "%s%s of %d keys; %d stale, %d missing", bar, v.share(p.Fresh), *p.Keys, *p.Stale, *p.Missing)
	}
	line("Last refresh", "%s", v.ago(p.LastRefreshTime, " ago"))
	line("Measured", "%s", v.ago(p.LastMeasureTime, " ago"))
	if r := p.Refresh; r != nil {
		what, state := "all keyspaces", v.Warn("under way")
		if len(r.Keyspaces) > 0 {
			what = strings.Join(r.Keyspaces, ", ")
		}
		if r.Done {
			state = v.Good("done")
		}
		line("On demand", "refresh of %s: %s (%s)", what, state, r.Token)
	}
}

// verdict is Ready in a word.
func (v View) verdict(p Policy) string {
	switch {
	case p.Ready == metav1.ConditionTrue:
		return v.Good("Ready")
	case p.Suspended:
		return v.Warn("Suspended")
	case p.Ready == metav1.ConditionFalse && p.Reason != cachev1alpha1.ReasonDiscovering:
		return v.Bad("Not ready: " + p.Reason)
	}
	return v.Warn("Not ready: " + p.Reason)
}

func (v View) silence(p Policy) string {
	if p.LastMeasureTime == nil {
		return "the operator has had the time to: is it running?"
	}
	return "the operator has not written this status for " + v.ago(p.LastMeasureTime, "") + ": is it running?"
}

func (v View) conditions(p Policy) string {
	if len(p.Conditions) == 0 {
		return "No conditions.\n"
	}
	var rows [][]string
	for _, c := range p.Conditions {
		paint := v.Bad
		switch {
		case c.Good:
			paint = v.Good
		case c.Status == metav1.ConditionUnknown, c.Type == cachev1alpha1.ConditionReconciling, c.Type == cachev1alpha1.ConditionWarning:
			paint = v.Warn
		}
		rows = append(rows, []string{c.Type, paint(string(c.Status)), v.ago(&c.Since, ""), c.Reason, c.Message})
	}
	return screen.Table([]screen.Column{{Title: "CONDITION"}, {Title: "STATUS"}, {Title: "SINCE"}, {Title: "REASON"}, {Title: "MESSAGE", Width: messageWidth}}, rows)
}

func (v View) keyspaces(p Policy) string {
	columns := []screen.Column{{Title: "KEYSPACE"}, {Title: "KEY"}, {Title: "EXPIRE"}, {Title: "DUE AFTER"}, {Title: "FRESH"},
		{Title: "KEYS", Right: true}, {Title: "STALE", Right: true}, {Title: "MISSING", Right: true}, {Title: "IGNORED", Right: true},
		{Title: "LOADS/S", Right: true}, {Title: "LAST REFRESH"}, {Title: "OLDEST VALUE"}}
	var rows [][]string
	for _, k := range p.Keyspaces {
		row := []string{k.Name, k.Key, human.Duration(k.Expire.Duration), human.Duration(k.DueAfter.Duration)}
		if !k.Observed {
			rows = append(rows, append(row, none, none, none, none, none, none, none, none))
			continue
		}
		loads := none
		if k.RequiredLoadsPerSecond != "" {
			loads = k.AchievedLoadsPerSecond + " of " + k.RequiredLoadsPerSecond
		}
		fresh := v.share(k.Fresh)
		if v.Bars {
			fresh = v.bar(k.Keys, k.Stale, k.Missing, barWidth) + " " + fresh
		}
		rows = append(rows, append(row, fresh, v.count(k.Keys, nil), v.count(k.Stale, v.Warn), v.count(k.Missing, v.Bad), v.count(k.Ignored, v.Faint),
			loads, v.ago(k.LastRefreshTime, ""), oldest(p, k)))
	}
	return screen.Table(columns, rows)
}

// oldest is how old the oldest value was when that was measured. Most likely it has
// been refreshed since: counted up to now, it would seem to outlive its expiry.
func oldest(p Policy, k Keyspace) string {
	if p.LastMeasureTime == nil {
		return none
	}
	return View{Now: p.LastMeasureTime.Time}.ago(k.OldestLoadTime, "")
}

func (v View) failures(p Policy) string {
	var rows [][]string
	for _, k := range p.Keyspaces {
		if f := k.LastFailure; f != nil {
			rows = append(rows, []string{k.Name, v.ago(&f.Time, ""), f.Reason, f.Message})
		}
	}
	if len(rows) == 0 {
		return ""
	}
	return "\n" + screen.Table([]screen.Column{{Title: "LAST FAILURE"}, {Title: "AGE"}, {Title: "REASON"}, {Title: "MESSAGE", Width: messageWidth}}, rows)
}

// Top writes a line for each policy.
func (v View) Top(policies []Policy, namespaces bool) string {
	columns := []screen.Column{{Title: "NAME"}, {Title: "READY"}, {Title: "FRESH"}, {Title: "KEYS", Right: true}, {Title: "STALE", Right: true},
		{Title: "MISSING", Right: true}, {Title: "LAST REFRESH"}, {Title: "MEASURED"}, {Title: "REASON"}}
	if namespaces {
		columns = append([]screen.Column{{Title: "NAMESPACE"}}, columns...)
	}
	var rows [][]string
	for _, p := range policies {
		var row []string
		if namespaces {
			row = append(row, p.Namespace)
		}
		ready := v.Bad
		switch {
		case p.Ready == metav1.ConditionTrue:
			ready = v.Good
		case p.Suspended, p.Ready == metav1.ConditionUnknown, p.Reason == cachev1alpha1.ReasonDiscovering:
			ready = v.Warn
		}
		reason := p.Reason
		if p.Silent {
			reason += v.Bad(" (operator silent)")
		}
		row = append(row, p.Name, ready(string(p.Ready)))
		if p.Keys == nil {
			row = append(row, none, none, none, none)
		} else {
			fresh := v.share(p.Fresh)
			if v.Bars {
				fresh = v.bar(*p.Keys, *p.Stale, *p.Missing, barWidth) + " " + fresh
			}
			row = append(row, fresh, v.count(*p.Keys, nil), v.count(*p.Stale, v.Warn), v.count(*p.Missing, v.Bad))
		}
		rows = append(rows, append(row, v.ago(p.LastRefreshTime, ""), v.ago(p.LastMeasureTime, ""), reason))
	}
	return screen.Table(columns, rows)
}

func (v View) bar(keys, stale, missing int64, width int) string {
	return v.Bar(keys-stale-missing, stale+missing, keys, width)
}

func (v View) share(fresh string) string {
	switch fresh {
	case "":
		return none
	case "100%":
		return v.Good(fresh)
	}
	return v.Warn(fresh)
}

// count paints a number that should be 0 and is not.
func (v View) count(n int64, paint func(string) string) string {
	if n == 0 || paint == nil {
		return fmt.Sprint(n)
	}
	return paint(fmt.Sprint(n))
}

// ago is how long ago something was; a clock that is ahead of ours reads 0s.
func (v View) ago(t *metav1.Time, ago string) string {
	if t == nil {
		return none
	}
	return duration.HumanDuration(max(0, v.Now.Sub(t.Time))) + ago
}
