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
	in := cause{specified: specified{
		policy: policy.UID, generation: policy.Generation, leads: leads, claims: r.enforced.claims.Load(),
		token: refreshToken(policy), only: policy.Annotations[cachev1alpha1.RefreshKeyspacesAnnotation], handled: policy.Status.LastHandledRefreshAt,
	}}
	var err error
	if in.secrets, err = r.secrets.of(ctx, policy); err != nil {
		return err
	}
	if p, known := r.enforced.by(id, in); known {
		return asError(p)
	}
	err = r.apply(ctx, id, policy.DeepCopy(), in.secrets, leads)
	if p := asProblem(err); err == nil || p != nil {
		r.enforced.note(id, in, p)
	}
	return err
}

// apply hands the spec to the engine.
func (r *CachePolicyReconciler) apply(ctx context.Context, id refresher.ID, policy *cachev1alpha1.CachePolicy, s secrets, leads bool) error {
	if p := selfConflict(policy); p != nil {
		return p
	}
	if err := r.beyond(ctx, policy); err != nil {
		if asProblem(err) != nil {
			r.Engine.Remove(id)
		}
		return err
	}
	plan, err := plan(policy, s)
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
	conflict := yield(&plan, policy, others)
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
	r.enforced.forget(id)
}

// cause is all that it depends on what is in force of a policy.
type cause struct {
	specified
	secrets secrets // another object where one has changed
}

type specified struct {
	policy               types.UID
	generation           int64
	token, only, handled string // of the refresh on demand
	leads                bool
	claims               uint64
}

// enforced remembers what has become of specs, so that a policy whose numbers
// alone are to be told costs no more than that.
type enforced struct {
	claims atomic.Uint64 // counts the changes of what policies claim

	mu       sync.Mutex
	outcomes map[refresher.ID]outcome
}

type outcome struct {
	cause   cause
	problem *problem
}

func (e *enforced) by(id refresher.ID, c cause) (p *problem, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o, known := e.outcomes[id]
	return o.problem, known && o.cause.specified == c.specified && maps.Equal(o.cause.secrets, c.secrets)
}

func (e *enforced) note(id refresher.ID, c cause, p *problem) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.outcomes == nil {
		e.outcomes = map[refresher.ID]outcome{}
	}
	e.outcomes[id] = outcome{c, p}
}

func (e *enforced) forget(id refresher.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.outcomes, id)
}

// asError is a problem as an error; nil is none.
func asError(p *problem) error {
	if p == nil {
		return nil
	}
	return p
}
