// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// Limits bound how much of one namespace comes into force, the oldest policies first.
// Zero is no limit.
type Limits struct{ Policies, Keyspaces int }

// checkLimits is the problem of a policy that is left out; nil if it is not.
func (r *CachePolicyReconciler) checkLimits(ctx context.Context, p *cachev1alpha1.CachePolicy) error {
	if r.Limits == (Limits{}) {
		return nil
	}
	all, err := r.inNamespace(ctx, p.Namespace)
	if err != nil {
		return err
	}
	policies, keyspaces := 0, len(p.Spec.Keyspaces)
	for i := range all {
		if o := &all[i]; o.UID != p.UID && o.DeletionTimestamp.IsZero() && older(o, p) {
			policies++
			keyspaces += len(o.Spec.Keyspaces)
		}
	}
	const remedy = "; delete older ones, or ask who runs the operator to raise the limit"
	switch {
	case r.Limits.Policies > 0 && policies >= r.Limits.Policies:
		return problemf(cachev1alpha1.ReasonLimitReached, "this namespace has %d older policies, and no more than %d of a namespace come into force (--max-policies-per-namespace)%s", policies, r.Limits.Policies, remedy)
	case r.Limits.Keyspaces > 0 && keyspaces > r.Limits.Keyspaces:
		return problemf(cachev1alpha1.ReasonLimitReached, "with this policy and older ones this namespace has %d keyspaces, and no more than %d of a namespace come into force (--max-keyspaces-per-namespace)%s", keyspaces, r.Limits.Keyspaces, remedy)
	}
	return nil
}

// younger are the policies of a namespace for which there may be room, or none any more,
// when another one changes.
func (r *CachePolicyReconciler) younger(ctx context.Context, than *cachev1alpha1.CachePolicy) ([]cachev1alpha1.CachePolicy, error) {
	if r.Limits == (Limits{}) {
		return nil, nil
	}
	all, err := r.inNamespace(ctx, than.Namespace)
	if err != nil {
		return nil, err
	}
	var after []cachev1alpha1.CachePolicy
	keyspaces := 0
	for i := range all {
		keyspaces += len(all[i].Spec.Keyspaces)
		if older(than, &all[i]) {
			after = append(after, all[i])
		}
	}
	if near := r.Limits.Policies > 0 && len(all) >= r.Limits.Policies || r.Limits.Keyspaces > 0 && keyspaces+len(than.Spec.Keyspaces) > r.Limits.Keyspaces; !near {
		return nil, nil
	}
	return after, nil
}

// inNamespace are the cache's: they must not be changed.
func (r *CachePolicyReconciler) inNamespace(ctx context.Context, namespace string) ([]cachev1alpha1.CachePolicy, error) {
	var list cachev1alpha1.CachePolicyList
	if err := r.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list the policies of the namespace: %w", err)
	}
	return list.Items, nil
}
