// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/human"
)

// checkTimeout is for the API server to answer twice.
const checkTimeout = 30 * time.Second

// check creates two CachePolicies as server-side dry runs, of which nothing is
// kept: the API server must take the good one, with its defaults set, and must
// refuse the bad one. So the CRD is there, of this version, and at work.
func check(ctx context.Context, namespace string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	conf, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server (set --kubeconfig or KUBECONFIG, or run in a Pod): %w", err)
	}
	scheme := runtime.NewScheme()
	if err := cachev1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	c, err := client.New(conf, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("reach the API server at %s: %w", conf.Host, err)
	}

	good := checkPolicy(namespace)
	if err := c.Create(ctx, good, client.DryRunAll); err != nil {
		return fmt.Errorf("dry run of a good CachePolicy in namespace %s: %w", namespace, withAdvice(err))
	}
	if good.Spec.GuardTimeout == nil {
		return errors.New("the API server set no default for spec.guardTimeout: its CRD is not of this version; apply the CRDs anew")
	}
	_, _ = fmt.Fprintf(out, "a good CachePolicy is taken (guardTimeout defaults to %s)\n", human.Duration(good.Spec.GuardTimeout.Duration))

	bad := checkPolicy(namespace)
	bad.Spec.Expire = nil
	switch err := c.Create(ctx, bad, client.DryRunAll); {
	case err == nil:
		return errors.New("the API server took a CachePolicy without expire: its CRD is not of this version; apply the CRDs anew")
	case !apierrors.IsInvalid(err):
		return fmt.Errorf("dry run of a bad CachePolicy in namespace %s: %w", namespace, withAdvice(err))
	default:
		_, _ = fmt.Fprintf(out, "a bad CachePolicy is refused (%v)\n", err)
	}
	return nil
}

func checkPolicy(namespace string) *cachev1alpha1.CachePolicy {
	return &cachev1alpha1.CachePolicy{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "keepfresh-check-", Namespace: namespace},
		Spec: cachev1alpha1.CachePolicySpec{
			Redis:  cachev1alpha1.Redis{Addresses: []string{"redis.example:6379"}},
			Expire: &cachev1alpha1.Duration{Duration: time.Minute},
			Keyspaces: []cachev1alpha1.Keyspace{{
				Name:   "check",
				Key:    "check:{id}",
				Loader: cachev1alpha1.Loader{HTTP: &cachev1alpha1.HTTPLoader{URL: "http://loader.example/{id}"}},
			}},
		},
	}
}

// withAdvice adds to what the API server said what to do about it.
func withAdvice(err error) error {
	switch {
	case apimeta.IsNoMatchError(err):
		return fmt.Errorf("%w: apply the CRDs first (helm: crds.enabled=true; kubectl apply --server-side -k config/crd)", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: this account needs the right to create cachepolicies.cache.keepfresh.dev there", err)
	}
	return err
}
