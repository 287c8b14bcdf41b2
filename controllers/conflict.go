// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
	"github.com/keepfresh/keepfresh/internal/review"
)

// claimIndex finds the policies that may claim the same keys, by how their
// templates begin: of two that can hold the same key, one's literal beginning is
// the beginning of the other's. So each keyspace is found under its beginning,
// and under all beginnings of that.
const claimIndex = "spec.claims"

// maxBeginning bounds what is indexed of a template, in bytes. Longer ones are
// told apart when they are compared.
const maxBeginning = 64

// claims are the values by which a policy is found, each once: its keyspaces often
// begin alike, and the index is kept anew with every status that is written.
func claims(p *cachev1alpha1.CachePolicy) []string {
	var found []string
	at, known := endpoint(p), map[string]bool{}
	for _, k := range p.Spec.Keyspaces {
		begins := beginning(k.Key)
		for i := len(begins); i >= 0 && !known[begins[:i]]; i-- { // with a beginning, its own ones are known
			known[begins[:i]] = true
			found = append(found, below(at, begins[:i]))
		}
		if is := exactly(at, begins); !slices.Contains(found, is) {
			found = append(found, is)
		}
	}
	return found
}

func exactly(endpoint, beginning string) string { return endpoint + " is " + beginning }

func below(endpoint, beginning string) string { return endpoint + " below " + beginning }

// beginning is what all keys of a template begin with.
func beginning(template string) string {
	literal, _, _ := strings.Cut(template, "{")
	return literal[:min(len(literal), maxBeginning)]
}

// endpoint names a policy's Redis: with the dot that ends a host name or without it,
// it is the same. Two other names of one server are two endpoints:
// there the guard alone keeps two policies from loading a key twice.
func endpoint(p *cachev1alpha1.CachePolicy) string {
	if len(p.Spec.Redis.Addresses) == 0 {
		return ""
	}
	address := strings.Replace(strings.ToLower(p.Spec.Redis.Addresses[0]), ".:", ":", 1)
	return fmt.Sprintf("%s/%d", address, p.Spec.Redis.Database)
}

// overlapping are the other policies that claim keys of p on the same Redis, the
// oldest first. They may be the cache's: they must not be changed.
func overlapping(ctx context.Context, c client.Reader, p *cachev1alpha1.CachePolicy) ([]cachev1alpha1.CachePolicy, error) {
	at, asked := endpoint(p), map[string]bool{}
	for _, k := range p.Spec.Keyspaces {
		begins := beginning(k.Key)
		asked[below(at, begins)] = true
		for i := range len(begins) {
			asked[exactly(at, begins[:i])] = true
		}
	}
	found := map[types.UID]cachev1alpha1.CachePolicy{}
	for value := range asked {
		var list cachev1alpha1.CachePolicyList
		if err := c.List(ctx, &list, client.MatchingFields{claimIndex: value}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list the policies of the same Redis: %w", err)
		}
		for _, o := range list.Items {
			found[o.UID] = o
		}
	}
	others := slices.Collect(maps.Values(found))
	slices.SortFunc(others, func(a, b cachev1alpha1.CachePolicy) int {
		if older(&a, &b) {
			return -1
		}
		return 1
	})
	return slices.DeleteFunc(others, func(o cachev1alpha1.CachePolicy) bool {
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

// conflictMessage says that a keyspace gives way to that of an older policy.
func conflictMessage(keyspace string, to *cachev1alpha1.CachePolicy, theirs string) string {
	return fmt.Sprintf("keyspace %q can hold the same keys as keyspace %q of the older policy %s/%s on this Redis, which goes first",
		keyspace, theirs, to.Namespace, to.Name)
}

// dropClaimed takes those keyspaces out of a plan that an older policy claims, whether
// that policy is suspended or not, and says so in a problem.
func dropClaimed(plan *refresher.Plan, p *cachev1alpha1.CachePolicy, others []cachev1alpha1.CachePolicy) *problem {
	var messages []string
	plan.Keyspaces = slices.DeleteFunc(plan.Keyspaces, func(k refresher.Keyspace) bool {
		other, name := rival(p, k.Key, others)
		if other != nil {
			messages = append(messages, conflictMessage(k.Name, other, name))
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
