// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

// The faults that a real API server does not produce on demand: a policy that is
// deleted between being read and being written, and an operator that ends.
func TestReconcileAtTheEndOfThings(t *testing.T) {
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "cachepolicies"}, "catalog")
	for sentence, c := range map[string]struct {
		patch  error
		closed bool
		want   error
	}{
		"a policy that was deleted meanwhile is no error":          {patch: gone},
		"a status that cannot be written is":                       {patch: errors.ErrUnsupported, want: errors.ErrUnsupported},
		"an engine that was closed does not make the spec invalid": {closed: true, want: refresher.ErrClosed},
	} {
		t.Run(sentence, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := cachev1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			policy := catalog()
			written := false
			api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(policy).
				WithIndex(policy, claimIndex, func(o client.Object) []string { return claims(o.(*cachev1alpha1.CachePolicy)) }).
				WithInterceptorFuncs(interceptor.Funcs{
					SubResourcePatch: func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
						written = true
						return c.patch
					},
				}).Build()
			engine := refresher.New(refresher.Options{})
			defer engine.Close(t.Context())
			if c.closed {
				engine.Close(t.Context())
			}
			r := &CachePolicyReconciler{Client: api, Engine: engine, Events: events.NewFakeRecorder(9), secrets: newSecretCache(api, api, nil)}

			_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(policy)})
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
			if written == c.closed {
				t.Errorf("a status was written: %v", written)
			}
		})
	}
}
