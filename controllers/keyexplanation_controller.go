// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

const (
	// keepAnswers is how long an answer can be read before it is deleted.
	keepAnswers = 5 * time.Minute
	// explainTimeout bounds what Redis may take for an answer.
	explainTimeout = 5 * time.Second
	// explainAtOnce is how many questions are answered at the same time, so that
	// they cost the refreshing nothing.
	explainAtOnce = 2
)

// Explainer is what the reconciler needs of a refresher.Engine.
type Explainer interface {
	Explain(context.Context, refresher.ID, string) (refresher.Explanation, bool)
}

// KeyExplanationReconciler answers questions about keys, each once, and deletes
// them a while later. Only the leader does.
type KeyExplanationReconciler struct {
	client.Client
	Engine   Explainer
	Election *Election        // nil where there is only one replica
	Now      func() time.Time // time.Now if nil

	wakeups Wakeups
}

// +kubebuilder:rbac:groups=cache.keepfresh.dev,resources=keyexplanations,verbs=list;watch;delete
// +kubebuilder:rbac:groups=cache.keepfresh.dev,resources=keyexplanations/status,verbs=patch

// SetupWithManager registers the reconciler: it is woken by questions, and by
// the election of this replica. CachePolicyReconciler has to be registered too:
// it makes the index that finds the policies of one Redis.
//
// Where the API server does not know the kind, as after an upgrade without its
// CRD, nothing is answered: that is no reason to end the refreshing.
func (r *KeyExplanationReconciler) SetupWithManager(mgr ctrl.Manager) error {
	kind := cachev1alpha1.GroupVersion.WithKind("KeyExplanation")
	if _, err := mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version); apimeta.IsNoMatchError(err) {
		mgr.GetLogger().Info("No questions about keys are answered, as the API server has no KeyExplanations: apply config/crd and restart")
		return nil
	} else if err != nil {
		return fmt.Errorf("look up KeyExplanations: %w", err)
	}
	r.Election.onLead(r.reconcileAll)
	return ctrl.NewControllerManagedBy(mgr).
		Named("keyexplanation").
		For(&cachev1alpha1.KeyExplanation{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(&r.wakeups).
		WithOptions(controller.Options{MaxConcurrentReconciles: explainAtOnce}).
		Complete(r)
}

// reconcileAll has every question answered that the former leader has left.
func (r *KeyExplanationReconciler) reconcileAll(ctx context.Context) {
	var list cachev1alpha1.KeyExplanationList
	if err := r.List(ctx, &list); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Questions about keys may be answered late, as they cannot be listed")
	}
	for i := range list.Items {
		r.wakeups.Notify(refresher.ID(client.ObjectKeyFromObject(&list.Items[i])))
	}
}

// Reconcile answers a question, or deletes it once the answer is old.
func (r *KeyExplanationReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	question := &cachev1alpha1.KeyExplanation{}
	if err := r.Get(ctx, req.NamespacedName, question); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("read the question: %w", err)
	}
	if !r.Election.Leads() || !question.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	if answered := question.Status.ObservedAt; answered != nil {
		return r.expire(ctx, question, answered.Time)
	}
	answer, err := r.answer(ctx, question)
	if err != nil {
		return ctrl.Result{}, err
	}
	before := question.DeepCopy()
	question.Status = answer
	if err := r.Status().Patch(ctx, question, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("write the answer: %w", err)
	}
	return ctrl.Result{RequeueAfter: keepAnswers}, nil
}

// expire deletes a question whose answer has been there for long enough.
func (r *KeyExplanationReconciler) expire(ctx context.Context, question *cachev1alpha1.KeyExplanation, answered time.Time) (ctrl.Result, error) {
	if left := keepAnswers - r.now().Sub(answered); left > 0 {
		return ctrl.Result{RequeueAfter: min(left, keepAnswers)}, nil
	}
	err := r.Delete(ctx, question, client.Preconditions{UID: &question.UID})
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("delete the question: %w", err)
	}
	return ctrl.Result{}, nil
}

// answer is all that there is to say. What keeps Redis from being asked is part
// of it: a question is not asked again.
func (r *KeyExplanationReconciler) answer(ctx context.Context, question *cachev1alpha1.KeyExplanation) (cachev1alpha1.KeyExplanationStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	policy := &cachev1alpha1.CachePolicy{}
	name := types.NamespacedName{Namespace: question.Namespace, Name: question.Spec.PolicyName}
	err := r.Get(ctx, name, policy)
	if client.IgnoreNotFound(err) != nil {
		return cachev1alpha1.KeyExplanationStatus{}, fmt.Errorf("read the policy: %w", err)
	}
	if err != nil {
		policy = nil
	}
	var others []cachev1alpha1.CachePolicy
	if policy != nil {
		if others, err = overlapping(ctx, r.Client, policy); err != nil {
			return cachev1alpha1.KeyExplanationStatus{}, err
		}
	}
	s := explanation{question: question.Spec, policy: policy, others: others}
	if policy != nil {
		s.known, s.running = r.Engine.Explain(ctx, refresher.ID(name), question.Spec.Key)
	}
	return s.status(r.now()), nil
}

func (r *KeyExplanationReconciler) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}
