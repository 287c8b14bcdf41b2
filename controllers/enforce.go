// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

// enforce puts the spec into force. An error that is a *problem says why that
// cannot be; then what was in force before stays so. An exception is a conflict:
// keyspaces that an older policy claims go out of force.
//
// The policy may be the cache's: it must not be changed.
func (r *CachePolicyReconciler) enforce(ctx context.Context, id refresher.ID, policy *cachev1alpha1.CachePolicy, leads bool) error {
	if policy.Spec.Suspend {
		r.remove(id)
		return nil
	}
	in := inputs{specified: specified{
		policy: policy.UID, generation: policy.Generation, leads: leads, claims: r.decisions.claims.Load(),
		token: refreshToken(policy), only: policy.Annotations[cachev1alpha1.RefreshKeyspacesAnnotation], handled: policy.Status.LastHandledRefreshAt,
	}}
	var err error
	if in.secrets, err = r.secrets.of(ctx, policy); err != nil {
		return err
	}
	if p, known := r.decisions.recall(id, in); known {
		return asError(p)
	}
	err = r.apply(ctx, id, policy.DeepCopy(), in.secrets, leads)
	if p := asProblem(err); err == nil || p != nil {
		r.decisions.remember(id, in, p)
	}
	return err
}

// apply hands the spec to the engine.
func (r *CachePolicyReconciler) apply(ctx context.Context, id refresher.ID, policy *cachev1alpha1.CachePolicy, s secrets, leads bool) error {
	if p := selfConflict(policy); p != nil {
		return p
	}
	if err := r.checkLimits(ctx, policy); err != nil {
		if asProblem(err) != nil {
			r.Engine.Remove(id)
		}
		return err
	}
	plan, err := makePlan(policy, s)
	if p := asProblem(err); p != nil && p.reason == cachev1alpha1.ReasonSecretNotFound && r.SecretSelector != nil {
		p.message += fmt.Sprintf(". Policies may use only Secrets with the labels %s (--secret-selector)", r.SecretSelector)
	}
	if err != nil {
		return err
	}
	if !leads {
		plan.Refresh, plan.RefreshOnly = "", nil
	}
	others, err := overlapping(ctx, r.Client, policy)
	if err != nil {
		return err
	}
	conflict := dropClaimed(&plan, policy, others)
	if len(plan.Keyspaces) == 0 {
		r.Engine.Remove(id)
		return asError(conflict)
	}
	if err := r.Engine.Apply(id, plan); errors.Is(err, refresher.ErrClosed) {
		return err
	} else if err != nil {
		return problemf(cachev1alpha1.ReasonInvalidSpec, "%v", err)
	}
	return asError(conflict)
}

// remove ends the work on a policy.
func (r *CachePolicyReconciler) remove(id refresher.ID) {
	r.Engine.Remove(id)
	r.secrets.forget(types.NamespacedName(id))
	r.decisions.forget(id)
}

// inputs holds everything that decides which plan of a policy is in force; if none of it
// has changed, the plan need not be made again.
type inputs struct {
	specified
	secrets secrets // by name; a Secret that has changed is another object
}

// specified are the inputs that can be compared.
type specified struct {
	policy               types.UID
	generation           int64
	token, only, handled string // of the refresh on demand
	leads                bool   // this replica writes status
	claims               uint64 // the number of the last change of what policies claim
}

// decisions remembers what came of each policy's inputs, so that a reconciliation that
// only has to write other numbers does no more than that. It is safe for concurrent use.
type decisions struct {
	claims atomic.Uint64 // counts the changes of what policies claim

	mu sync.Mutex
	of map[refresher.ID]decision
}

// decision is what came of a policy's inputs.
type decision struct {
	inputs  inputs
	problem *problem // nil if all is in force
}

// recall is what came of the inputs, if they are the same as the last time.
func (d *decisions) recall(id refresher.ID, in inputs) (p *problem, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was, known := d.of[id]
	return was.problem, known && was.inputs.specified == in.specified && maps.Equal(was.inputs.secrets, in.secrets)
}

func (d *decisions) remember(id refresher.ID, in inputs, p *problem) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = map[refresher.ID]decision{}
	}
	d.of[id] = decision{in, p}
}

func (d *decisions) forget(id refresher.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.of, id)
}

// asError is a problem as an error; nil is none.
func asError(p *problem) error {
	if p == nil {
		return nil
	}
	return p
}
