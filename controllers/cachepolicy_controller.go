// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers connects the API server with the engine: it translates
// CachePolicies and their Secrets into plans, and the engine's snapshots into
// status. What is refreshed, and when, is not decided here.
package controllers

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

// Engine is what the reconciler needs of a refresher.Engine.
type Engine interface {
	Apply(refresher.ID, refresher.Plan) error
	Remove(refresher.ID)
	Snapshot(refresher.ID) (refresher.Snapshot, bool)
}

// CachePolicyReconciler hands policies to the engine and, on the leader, reports
// on them.
type CachePolicyReconciler struct {
	client.Client
	Engine   Engine
	Events   events.EventRecorder
	Wakeups  *Wakeups         // of the engine's
	Election *Election        // nil where there is only one replica
	Now      func() time.Time // time.Now if nil
	Parallel int              // policies reconciled at once; 4 if 0
	Limits   Limits           // each namespace's

	// SecretSelector says which Secrets policies may use; all of their namespace, if nil.
	// The manager's cache has to have it too (CacheOptions).
	SecretSelector labels.Selector

	secrets   *secretCache
	decisions decisions
}

// +kubebuilder:rbac:groups=cache.keepfresh.dev,resources=cachepolicies,verbs=list;watch
// +kubebuilder:rbac:groups=cache.keepfresh.dev,resources=cachepolicies/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile puts a policy into force. The leader writes its status, and takes up
// refreshes on demand: else each replica would load every key.
func (r *CachePolicyReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	id := refresher.ID{Namespace: req.Namespace, Name: req.Name}
	policy := &cachev1alpha1.CachePolicy{}
	err := r.Get(ctx, req.NamespacedName, policy, client.UnsafeDisableDeepCopy) // so it must not be changed
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("read the policy: %w", err)
	}
	if err != nil || !policy.DeletionTimestamp.IsZero() {
		r.remove(id)
		return ctrl.Result{}, nil
	}

	leads := r.Election.Leads()
	err = r.enforce(ctx, id, policy, leads)
	s := situation{policy: policy, problem: asProblem(err)}
	if err != nil && s.problem == nil {
		return ctrl.Result{}, err
	}
	if !leads {
		return ctrl.Result{}, nil
	}
	s.snapshot, s.running = r.Engine.Snapshot(id)
	wait, err := r.report(ctx, s)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("write the status: %w", err)
	}
	if !s.running {
		wait = 0 // an event will tell
	}
	return ctrl.Result{RequeueAfter: wait}, nil
}

// report writes the status if it is worth it, tells of a change, and says when
// to report again.
func (r *CachePolicyReconciler) report(ctx context.Context, s situation) (time.Duration, error) {
	now := time.Now()
	if r.Now != nil {
		now = r.Now()
	}
	before, after := s.policy, *s.policy
	after.Status = status(s, now)
	if !worthWriting(before.UID, &before.Status, &after.Status, now) {
		return untilReport(before.UID, before.Status.LastMeasureTime.Time, now), nil
	}
	if reflect.DeepEqual(before.Status, after.Status) {
		return reportInterval, nil
	}
	// The patch is made of nothing but the status: the rest is the same, and costs.
	from, to := onlyStatus(before), onlyStatus(&after)
	if err := r.Status().Patch(ctx, to, client.MergeFrom(from)); err != nil {
		return 0, err
	}
	r.tell(before, &after)
	return untilReport(before.UID, now, now), nil
}

// onlyStatus is a policy's name and status.
func onlyStatus(p *cachev1alpha1.CachePolicy) *cachev1alpha1.CachePolicy {
	return &cachev1alpha1.CachePolicy{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Status: p.Status}
}

// tell emits an event when the policy's summary changes, and when a refresh on
// demand is done.
func (r *CachePolicyReconciler) tell(before, after *cachev1alpha1.CachePolicy) {
	was := apimeta.FindStatusCondition(before.Status.Conditions, cachev1alpha1.ConditionReady)
	is := apimeta.FindStatusCondition(after.Status.Conditions, cachev1alpha1.ConditionReady)
	if was == nil || was.Status != is.Status || was.Reason != is.Reason {
		kind := corev1.EventTypeNormal
		if is.Status != metav1.ConditionTrue && is.Reason != cachev1alpha1.ReasonDiscovering && is.Reason != cachev1alpha1.ReasonSuspended {
			kind = corev1.EventTypeWarning
		}
		r.Events.Eventf(after, nil, kind, is.Reason, "Reconcile", "%s", is.Message)
	}
	if before.Status.LastHandledRefreshAt != after.Status.LastHandledRefreshAt {
		r.Events.Eventf(after, nil, corev1.EventTypeNormal, "Refreshed", "Refresh", "%s", refreshed(after))
	}
}

// refreshed is what there is to tell of a refresh on demand that is done.
func refreshed(p *cachev1alpha1.CachePolicy) string {
	const done = "is done: every key was tried"
	names := p.RefreshKeyspaces()
	if len(names) == 0 {
		return "the refresh on demand " + done
	}
	text := fmt.Sprintf("the refresh on demand of %s %s", strings.Join(names, ", "), done)
	unknown := slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(p.Spec.Keyspaces, func(k cachev1alpha1.Keyspace) bool { return k.Name == name })
	})
	if len(unknown) > 0 {
		text += "; there is no keyspace " + strings.Join(unknown, ", ")
	}
	return shorten(text)
}
