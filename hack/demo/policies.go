// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// policyState is what a policy's status says.
type policyState struct {
	name         string
	ready, fresh metav1.Condition
	keys         int64
	notFresh     int64 // stale or missing
}

// listPolicies returns the states of all policies, ordered by name.
func listPolicies(ctx context.Context, c client.Client) ([]policyState, error) {
	var list cachev1alpha1.CachePolicyList
	if err := c.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list the policies: %w", err)
	}
	states := make([]policyState, 0, len(list.Items))
	for i := range list.Items {
		states = append(states, stateOf(&list.Items[i]))
	}
	return states, nil
}

func stateOf(policy *cachev1alpha1.CachePolicy) policyState {
	s := policyState{name: policy.Name, ready: condition(policy, cachev1alpha1.ConditionReady),
		fresh: condition(policy, cachev1alpha1.ConditionFresh)}
	for _, n := range []*int64{policy.Status.Stale, policy.Status.Missing} {
		if n != nil {
			s.notFresh += *n
		}
	}
	if policy.Status.Keys != nil {
		s.keys = *policy.Status.Keys
	}
	return s
}

// condition returns a condition, Unknown if it is missing or speaks of an older
// spec.
func condition(policy *cachev1alpha1.CachePolicy, kind string) metav1.Condition {
	c := meta.FindStatusCondition(policy.Status.Conditions, kind)
	switch {
	case c == nil:
		return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: "NotReported", Message: "The operator has not reported it."}
	case c.ObservedGeneration != policy.Generation:
		return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: "Outdated", Message: "The operator has not seen the last change of the spec."}
	}
	return *c
}

func isTrue(c metav1.Condition) bool { return c.Status == metav1.ConditionTrue }

// overview sums states up.
type overview struct {
	policies, ready int
	keys, notFresh  int64
	unknown         bool // a policy's numbers are those of another time
}

func overviewOf(states []policyState) overview {
	o := overview{policies: len(states)}
	for _, s := range states {
		if isTrue(s.ready) {
			o.ready++
		}
		o.keys += s.keys
		o.notFresh += s.notFresh
		o.unknown = o.unknown || s.fresh.Status == metav1.ConditionUnknown
	}
	return o
}

// freshShare is the share of all keys that are fresh as a status would say it, or
// "?" if that is not known.
func (o overview) freshShare() string {
	share := cachev1alpha1.FreshShare(o.keys-o.notFresh, o.keys)
	if share == "" || o.unknown {
		return "?"
	}
	return share
}
