// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

// secretIndex finds the policies that refer to a Secret of their namespace.
const secretIndex = "spec.secrets"

// ClientOptions are those that the manager's client has to have. Reads wait for
// what was written before: with a status from before its last write, a
// reconciliation would take for news what it has told already.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: new(true)}}
}

// CacheOptions are those of the manager's cache: with a selector, no more is known of
// other Secrets than if there were none.
func CacheOptions(secrets labels.Selector, namespaces map[string]cache.Config) cache.Options {
	options := cache.Options{DefaultNamespaces: namespaces}
	if secrets != nil {
		options.ByObject = map[client.Object]cache.ByObject{&corev1.Secret{}: {Label: secrets}}
	}
	return options
}

// SetupWithManager registers the reconciler: it is woken by policies, by their
// Secrets, by policies that claim the same keys, by the engine, and by the
// election of this replica.
func (r *CachePolicyReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	r.secrets = newSecretCache(mgr.GetClient(), mgr.GetAPIReader(), r.SecretSelector)
	indexes := map[string]func(*cachev1alpha1.CachePolicy) []string{
		secretIndex: secretNames,
		claimIndex:  claims,
	}
	for name, values := range indexes {
		err := mgr.GetFieldIndexer().IndexField(ctx, &cachev1alpha1.CachePolicy{}, name,
			func(o client.Object) []string { return values(o.(*cachev1alpha1.CachePolicy)) })
		if err != nil {
			return fmt.Errorf("index policies by %s: %w", name, err)
		}
	}
	r.Election.onLead(r.reconcileAll)
	asked := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).
		Named("cachepolicy").
		For(&cachev1alpha1.CachePolicy{}, builder.WithPredicates(asked)).
		Watches(&cachev1alpha1.CachePolicy{}, handler.EnqueueRequestsFromMapFunc(r.rivals),
			builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.users)).
		WatchesRawSource(r.Wakeups).
		WithOptions(controller.Options{MaxConcurrentReconciles: cmp.Or(r.Parallel, 4)}).
		Complete(r)
}

// reconcileAll has every policy reconciled.
func (r *CachePolicyReconciler) reconcileAll(ctx context.Context) {
	var list cachev1alpha1.CachePolicyList
	if err := r.List(ctx, &list); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "The status of policies may be written late, as they cannot be listed")
	}
	for i := range list.Items {
		r.Wakeups.Notify(refresher.ID{Namespace: list.Items[i].Namespace, Name: list.Items[i].Name})
	}
}

// rivals are the policies whose claim, or whose room, a change of this one may alter.
func (r *CachePolicyReconciler) rivals(ctx context.Context, o client.Object) []reconcile.Request {
	r.decisions.claims.Add(1)
	found, err := overlapping(ctx, r.Client, o.(*cachev1alpha1.CachePolicy))
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Policies with overlapping keyspaces may learn late of a change", "policy", client.ObjectKeyFromObject(o))
	}
	after, err := r.younger(ctx, o.(*cachev1alpha1.CachePolicy))
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Policies may learn late that there is room for them", "policy", client.ObjectKeyFromObject(o))
	}
	return requests(append(found, after...))
}

// users are the policies that refer to a Secret.
func (r *CachePolicyReconciler) users(ctx context.Context, secret client.Object) []reconcile.Request {
	var list cachev1alpha1.CachePolicyList
	err := r.List(ctx, &list, client.InNamespace(secret.GetNamespace()), client.MatchingFields{secretIndex: secret.GetName()})
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Policies may learn late of a changed Secret", "secret", client.ObjectKeyFromObject(secret))
	}
	return requests(list.Items)
}

func requests(policies []cachev1alpha1.CachePolicy) []reconcile.Request {
	out := make([]reconcile.Request, len(policies))
	for i := range policies {
		out[i].NamespacedName = client.ObjectKeyFromObject(&policies[i])
	}
	return out
}

// Wakeups carries the engine's calls for attention into the work queue, which
// merges those of one policy. It never blocks the engine.
type Wakeups struct {
	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// Notify has a policy reconciled. Before the controller has started nothing is
// lost: every policy is reconciled then.
func (w *Wakeups) Notify(id refresher.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue != nil {
		w.queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: id.Namespace, Name: id.Name}})
	}
}

// Start is called by the controller.
func (w *Wakeups) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = queue
	return nil
}
