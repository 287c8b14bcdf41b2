// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/human"
)

// Explanation is the operator's answer to a question about a key.
type Explanation struct {
	Policy string `json:"policy"` // namespace/name
	Key    string `json:"key"`

	cachev1alpha1.KeyExplanationStatus `json:",inline"`
}

// Explanation writes an answer. Its times are told from the moment of the answer,
// so that they hold whatever the clock here says.
func (v View) Explanation(e Explanation) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(&b, "%-13s %s\n", name+":", text)
		}
	}
	at := func(t *metav1.MicroTime) string { return relative(t, e.ObservedAt) }

	line("Key", "%s", v.Strong(e.Key))
	line("Policy", "%s", e.Policy)
	owned := v.Warn("no: " + e.Reason)
	if e.Owned {
		owned = v.Good("yes, by keyspace " + e.Keyspace)
	}
	line("Kept fresh", "%s", owned)
	line("", "%s", e.Message)
	if e.Problem != "" {
		line("Problem", "%s", v.Bad(e.Problem))
	}
	if e.Keyspace == "" {
		return strings.ReplaceAll(b.String(), "\n:  ", "\n   ")
	}
	for _, p := range e.Parameters {
		line("Parameter", "%s = %s", p.Name, p.Value)
	}
	v.loader(line, e.Loader)
	line("State", "%s", v.state(e))
	line("Tracked", "%s", tracked(e))
	line("Due", "%s", at(e.DueTime))
	line("Next look", "%s", at(e.NextAttemptTime))
	if e.Guard != nil {
		line("Guard", "%s", v.guard(e.Guard))
	}
	line("Last load", "%s", at(e.LastLoadTime))
	if o := e.LastOutcome; o != nil {
		line("Last outcome", "%s %s%s", v.outcome(o), at(&o.Time), because(o))
	}
	if e.Failures > 0 {
		line("Failures", "%s", v.Bad(fmt.Sprintf("%d in a row", e.Failures)))
	}
	if e.Breaker == cachev1alpha1.BreakerOpen {
		line("Breaker", "%s", v.Bad("open: the keyspace's loads fail, so one key at a time is tried"))
	}
	return strings.ReplaceAll(b.String(), "\n:  ", "\n   ")
}

func (v View) loader(line func(string, string, ...any), l *cachev1alpha1.KeyLoader) {
	if l == nil {
		return
	}
	line("Loader", "%s", strings.TrimSpace(l.Method+" "+l.URL))
	if len(l.Headers) > 0 {
		line("Headers", "%s (values are not shown)", strings.Join(l.Headers, ", "))
	}
	if l.Problem != "" {
		line("", "%s", v.Bad(l.Problem))
	}
}

func (v View) state(e Explanation) string {
	text := string(e.State)
	switch e.State {
	case cachev1alpha1.KeyFresh:
		text = v.Good(text)
	case cachev1alpha1.KeyMissing:
		text = v.Bad(text)
	default:
		text = v.Warn(text)
	}
	if e.Age != nil {
		text += ", written " + human.About(e.Age.Duration) + " ago"
	}
	if e.TTL != nil {
		text += ", expires in " + human.About(e.TTL.Duration)
	}
	if e.Expire != nil {
		text += " (a rebuild writes it for " + human.Duration(e.Expire.Duration) + ")"
	}
	return text
}

func tracked(e Explanation) string {
	switch {
	case e.Tracked:
		return "yes, it is in the schedule"
	case e.Owned && e.State != cachev1alpha1.KeyMissing:
		return "no, the next listing takes it in"
	}
	return "no"
}

func (v View) guard(g *cachev1alpha1.KeyGuard) string {
	if !g.Held {
		return "free"
	}
	holder := "held by another replica or an application"
	if g.Holder == cachev1alpha1.HeldByOperator {
		holder = "held by the operator"
	}
	if g.TTL != nil {
		holder += ", for " + human.About(g.TTL.Duration) + " unless it is renewed"
	}
	return v.Warn(holder)
}

func (v View) outcome(o *cachev1alpha1.KeyOutcome) string {
	switch o.Outcome {
	case "Committed":
		return v.Good(o.Outcome)
	case "Failed", "Lost":
		return v.Bad(o.Outcome)
	}
	return o.Outcome
}

func because(o *cachev1alpha1.KeyOutcome) string {
	switch {
	case o.Reason == "":
		return ""
	case o.Message == "":
		return ": " + o.Reason
	}
	return ": " + o.Reason + ": " + o.Message
}

func relative(t, to *metav1.MicroTime) string {
	if t == nil || to == nil {
		return ""
	}
	if d := t.Sub(to.Time); d > 0 {
		return "in " + human.About(d)
	}
	return human.About(to.Sub(t.Time)) + " ago"
}
