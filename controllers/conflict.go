// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
	"github.com/keepfresh/keepfresh/internal/review"
)

// endpointIndex finds the policies of one Redis.
const endpointIndex = "spec.redis.endpoint"

// endpoint names a policy's Redis. Two names of one server are two endpoints:
// there the guard alone keeps two policies from loading a key twice.
func endpoint(p *cachev1alpha1.CachePolicy) string {
	if len(p.Spec.Redis.Addresses) == 0 {
		return ""
	}
	return fmt.Sprintf("%s/%d", strings.ToLower(p.Spec.Redis.Addresses[0]), p.Spec.Redis.Database)
}

// overlapping are the other policies that claim keys of p on the same Redis, the
// oldest first.
func overlapping(ctx context.Context, c client.Reader, p *cachev1alpha1.CachePolicy) ([]cachev1alpha1.CachePolicy, error) {
	var list cachev1alpha1.CachePolicyList
	if err := c.List(ctx, &list, client.MatchingFields{endpointIndex: endpoint(p)}); err != nil {
		return nil, fmt.Errorf("list the policies of the same Redis: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b cachev1alpha1.CachePolicy) int {
		if older(&a, &b) {
			return -1
		}
		return 1
	})
	return slices.DeleteFunc(list.Items, func(o cachev1alpha1.CachePolicy) bool {
		return o.UID == p.UID || !slices.ContainsFunc(p.Spec.Keyspaces, func(k cachev1alpha1.Keyspace) bool {
			_, overlaps := claim(&o, k.Key)
			return overlaps
		})
	}), nil
}

// claim is the first keyspace of a policy that can hold a key of the template.
func claim(p *cachev1alpha1.CachePolicy, template string) (keyspace string, claimed bool) {
	for _, k := range p.Spec.Keyspaces {
		if refresher.Overlap(k.Key, template) {
			return k.Name, true
		}
	}
	return "", false
}

// older says that a has the better claim: it was there first.
func older(a, b *cachev1alpha1.CachePolicy) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.UID < b.UID
}

// rival is the older policy that claims keys of a template, and its keyspace that
// does; nil if there is none.
func rival(p *cachev1alpha1.CachePolicy, template string, others []cachev1alpha1.CachePolicy) (*cachev1alpha1.CachePolicy, string) {
	for i := range others {
		o := &others[i]
		if !o.DeletionTimestamp.IsZero() || !older(o, p) {
			continue
		}
		if name, claimed := claim(o, template); claimed {
			return o, name
		}
	}
	return nil, ""
}

func yields(keyspace string, to *cachev1alpha1.CachePolicy, theirs string) string {
	return fmt.Sprintf("keyspace %q can hold the same keys as keyspace %q of the older policy %s/%s on this Redis, which goes first",
		keyspace, theirs, to.Namespace, to.Name)
}

// yield takes the keyspaces out of a plan that an older policy claims, be that
// suspended or not, and says so in a problem.
func yield(plan *refresher.Plan, p *cachev1alpha1.CachePolicy, others []cachev1alpha1.CachePolicy) *problem {
	var messages []string
	plan.Keyspaces = slices.DeleteFunc(plan.Keyspaces, func(k refresher.Keyspace) bool {
		other, name := rival(p, k.Key, others)
		if other != nil {
			messages = append(messages, yields(k.Name, other, name))
		}
		return other != nil
	})
	if len(messages) == 0 {
		return nil
	}
	return problemf(cachev1alpha1.ReasonKeyspaceConflict, "%s; change one of the templates", strings.Join(messages, "; "))
}

// selfConflict is what admission could not see: two keyspaces of one policy
// that can hold the same key.
func selfConflict(p *cachev1alpha1.CachePolicy) *problem {
	if found := review.Conflicts(p); len(found) > 0 {
		return problemf(cachev1alpha1.ReasonInvalidSpec, "%s", found[0].Message)
	}
	return nil
}
