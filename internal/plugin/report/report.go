// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package report says how policies stand, for people and for programs: what is
// printed as text is made of the very values that are printed as JSON or YAML.
package report

import (
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// Policy is how a policy stands.
type Policy struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Redis     string `json:"redis"`
	Database  int32  `json:"database"`
	Suspended bool   `json:"suspended"`

	// Ready, Reason and Message are the condition Ready: Unknown where the
	// operator has not told, or has told of a former spec.
	Ready   metav1.ConditionStatus `json:"ready"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message"`

	// Silent says that the operator should have written the status by now.
	Silent bool `json:"silent"`

	Keys            *int64       `json:"keys,omitempty"`
	Fresh           string       `json:"fresh,omitempty"`
	Stale           *int64       `json:"stale,omitempty"`
	Missing         *int64       `json:"missing,omitempty"`
	LastRefreshTime *metav1.Time `json:"lastRefreshTime,omitempty"`
	LastMeasureTime *metav1.Time `json:"lastMeasureTime,omitempty"`

	Refresh    *Refresh    `json:"refresh,omitempty"`
	Conditions []Condition `json:"conditions"`
	Keyspaces  []Keyspace  `json:"keyspaces"`
}

// Refresh is the refresh on demand that was asked for last.
type Refresh struct {
	Token     string   `json:"token"`
	Keyspaces []string `json:"keyspaces,omitempty"` // all if empty
	Done      bool     `json:"done"`
}

// Condition is a condition of a policy.
type Condition struct {
	Type    string                 `json:"type"`
	Status  metav1.ConditionStatus `json:"status"`
	Since   metav1.Time            `json:"since"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message,omitempty"`

	// Good says that the status is the one that all is well with.
	Good bool `json:"good"`
}

// Keyspace is a keyspace as the spec has it, and what was observed of it.
type Keyspace struct {
	Name   string                 `json:"name"`
	Key    string                 `json:"key"`
	Expire cachev1alpha1.Duration `json:"expire"`

	// DueAfter is the age at which a key counts as stale.
	DueAfter cachev1alpha1.Duration `json:"dueAfter"`

	// Observed says that there are numbers.
	Observed bool   `json:"observed"`
	Keys     int64  `json:"keys"`
	Fresh    string `json:"fresh,omitempty"`
	Stale    int64  `json:"stale"`
	Missing  int64  `json:"missing"`
	Ignored  int64  `json:"ignored"`

	// How many keys are loaded per second, and how many have to be.
	AchievedLoadsPerSecond string `json:"achievedLoadsPerSecond,omitempty"`
	RequiredLoadsPerSecond string `json:"requiredLoadsPerSecond,omitempty"`

	LastRefreshTime *metav1.Time           `json:"lastRefreshTime,omitempty"`
	OldestLoadTime  *metav1.Time           `json:"oldestLoadTime,omitempty"`
	LastFailure     *cachev1alpha1.Failure `json:"lastFailure,omitempty"`
}

// silence is how old the numbers of an operator that works can be: it writes
// them every 3 minutes even if they did not change, or after a few tries if the
// API server is busy.
const silence = 5 * time.Minute

// Of reports on a policy at a time.
func Of(p *cachev1alpha1.CachePolicy, now time.Time) Policy {
	out := Policy{
		Name: p.Name, Namespace: p.Namespace, Database: p.Spec.Redis.Database, Suspended: p.Spec.Suspend,
		Keys: p.Status.Keys, Fresh: p.Status.Fresh, Stale: p.Status.Stale, Missing: p.Status.Missing,
		LastRefreshTime: p.Status.LastRefreshTime, LastMeasureTime: p.Status.LastMeasureTime,
		Conditions: []Condition{}, Keyspaces: []Keyspace{},
	}
	if len(p.Spec.Redis.Addresses) > 0 {
		out.Redis = p.Spec.Redis.Addresses[0]
	}
	out.judge(p, now)
	if token := p.Annotations[cachev1alpha1.RefreshRequestedAtAnnotation]; token != "" {
		out.Refresh = &Refresh{Token: token, Keyspaces: p.RefreshKeyspaces(), Done: token == p.Status.LastHandledRefreshAt}
	}
	for _, c := range p.Status.Conditions {
		out.Conditions = append(out.Conditions, Condition{Type: c.Type, Status: c.Status, Since: c.LastTransitionTime,
			Reason: c.Reason, Message: c.Message, Good: good(c)})
	}
	for i := range p.Spec.Keyspaces {
		out.Keyspaces = append(out.Keyspaces, keyspace(p, &p.Spec.Keyspaces[i]))
	}
	return out
}

// judge fills in how the policy stands as a whole.
func (out *Policy) judge(p *cachev1alpha1.CachePolicy, now time.Time) {
	told := p.CreationTimestamp.Time
	if t := p.Status.LastMeasureTime; t != nil {
		told = t.Time
	}
	changed := told
	for _, entry := range p.ManagedFields {
		if entry.Time != nil && entry.Time.After(changed) {
			changed = entry.Time.Time
		}
	}
	ready := apimeta.FindStatusCondition(p.Status.Conditions, cachev1alpha1.ConditionReady)
	out.Ready = metav1.ConditionUnknown
	switch {
	case ready == nil:
		out.Reason, out.Message = "NotReported", "the operator has not reported on this policy"
		out.Silent = now.Sub(changed) > silence
	case ready.ObservedGeneration != p.Generation:
		out.Reason, out.Message = "Outdated", "the operator has not reported on the latest change of the spec"
		out.Silent = now.Sub(changed) > silence
	default:
		out.Ready, out.Reason, out.Message = ready.Status, ready.Reason, ready.Message
		// While nothing is measured, nothing is written either.
		out.Silent = p.Status.LastMeasureTime != nil && now.Sub(told) > silence
	}
}

func keyspace(p *cachev1alpha1.CachePolicy, k *cachev1alpha1.Keyspace) Keyspace {
	out := Keyspace{Name: k.Name, Key: k.Key, Expire: cachev1alpha1.Duration{Duration: k.EffectiveExpire(&p.Spec)}}
	if due, err := k.EffectiveDueAfter(&p.Spec); err == nil {
		out.DueAfter = cachev1alpha1.Duration{Duration: due}
	}
	for _, s := range p.Status.Keyspaces {
		if s.Name == k.Name {
			out.Observed = true
			out.Keys, out.Fresh, out.Stale, out.Missing, out.Ignored = s.Keys, s.Fresh, s.Stale, s.Missing, s.Ignored
			out.AchievedLoadsPerSecond, out.RequiredLoadsPerSecond = s.AchievedLoadsPerSecond, s.RequiredLoadsPerSecond
			out.LastRefreshTime, out.OldestLoadTime, out.LastFailure = s.LastRefreshTime, s.OldestLoadTime, s.LastFailure
		}
	}
	return out
}

// good says that a condition is as it should be. Those that exist only while
// they are True speak of something that is not.
func good(c metav1.Condition) bool {
	switch c.Type {
	case cachev1alpha1.ConditionReconciling, cachev1alpha1.ConditionStalled, cachev1alpha1.ConditionWarning:
		return c.Status != metav1.ConditionTrue
	}
	return c.Status == metav1.ConditionTrue
}
