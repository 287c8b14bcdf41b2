// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

// hands counts what it is handed.
type hands struct {
	applied, removed int
	refuse           error
}

func (h *hands) Apply(refresher.ID, refresher.Plan) error                 { h.applied++; return h.refuse }
func (h *hands) Remove(refresher.ID)                                      { h.removed++ }
func (*hands) Snapshot(refresher.ID) (s refresher.Snapshot, running bool) { return s, false }

func TestASpecIsWorkedOutOnceForEachCause(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := errors.Join(cachev1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	indexed := func(o client.Object) []string { return claims(o.(*cachev1alpha1.CachePolicy)) }
	lists, unreachable := 0, error(nil)
	api := fake.NewClientBuilder().WithScheme(scheme).WithIndex(&cachev1alpha1.CachePolicy{}, claimIndex, indexed).
		WithInterceptorFuncs(interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, into client.ObjectList, opts ...client.ListOption) error {
			lists++
			return errors.Join(unreachable, c.List(ctx, into, opts...))
		}}).Build()
	v, engine := &vault{secrets: map[string]*corev1.Secret{}}, &hands{}
	v.put("a", "1", "one")
	r := &CachePolicyReconciler{Client: api, Engine: engine, secrets: newSecretCache(v, v, nil)}

	policy, leads := catalog(func(p *cachev1alpha1.CachePolicy) {
		p.Annotations = map[string]string{}
		p.Spec.Keyspaces[0].Loader.HTTP.Headers = []cachev1alpha1.HTTPHeader{headerFrom("Authorization", "a", "token")}
	}), true
	id := refresher.ID{Namespace: policy.Namespace, Name: policy.Name}
	enforce := func() error { return r.enforce(t.Context(), id, policy, leads) }
	again := func(what string, fails bool) {
		t.Helper()
		applied, listed := engine.applied, lists
		if err := enforce(); (asProblem(err) != nil) != fails || err != nil && !fails {
			t.Errorf("%s: %v, then: %v", what, fails, err)
		}
		if engine.applied != applied || lists != listed {
			t.Errorf("%s is worked out again", what)
		}
	}
	for _, c := range []struct {
		what   string
		change func()
	}{
		{"a policy", func() {}},
		{"a policy of the same name", func() { policy.UID = "another" }},
		{"a spec", func() { policy.Generation++ }},
		{"a refresh on demand", func() { policy.Annotations[cachev1alpha1.RefreshRequestedAtAnnotation] = "now" }},
		{"its keyspaces", func() { policy.Annotations[cachev1alpha1.RefreshKeyspacesAnnotation] = "products" }},
		{"its end", func() { policy.Status.LastHandledRefreshAt = "now" }},
		{"the end of leadership", func() { leads = false }},
		{"a Secret", func() { v.put("a", "2", "two") }},
		{"another policy's claim", func() { r.rivals(t.Context(), born("other", time.Time{}, "page:{id}")) }},
		{"being resumed", func() {
			policy.Spec.Suspend = true
			if err := enforce(); err != nil || engine.removed != 1 {
				t.Errorf("suspended: %v, removed %d times", err, engine.removed)
			}
			policy.Spec.Suspend = false
		}},
	} {
		c.change()
		applied := engine.applied
		if err := enforce(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if engine.applied != applied+1 {
			t.Errorf("%s is not put into force", c.what)
		}
		again(c.what, false)
	}

	policy.Generation++
	engine.refuse = errors.New("no such thing")
	if asProblem(enforce()) == nil {
		t.Error("what the engine refuses is no problem")
	}
	again("a problem", true)

	policy.Generation++
	engine.refuse, unreachable = nil, errors.New("unreachable")
	if err := enforce(); !errors.Is(err, unreachable) {
		t.Errorf("got %v", err)
	}
	unreachable = nil
	applied := engine.applied
	if err := enforce(); err != nil || engine.applied != applied+1 {
		t.Errorf("what could not be worked out is not tried again: %v", err)
	}

	r.remove(id)
	if len(r.decisions.of) != 0 {
		t.Error("a policy that is gone is remembered")
	}
}
