// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
)

// cause leaves out of an error on the way to the API server which request it was.
func cause(err error) error {
	var connection *url.Error
	if errors.As(err, &connection) {
		return connection.Err
	}
	return err
}

// explain adds to an error of the API server's, or of the way there, what the
// user can do about it.
func explain(err error) error {
	var connection *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	case apimeta.IsNoMatchError(err):
		return errors.New("the API server knows no CachePolicy: Keepfresh's CRDs are not installed there. " +
			"Is it the right cluster (kubectl config current-context)? Install them with the Helm chart, or with kubectl apply -k config/crd")
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w. kubectl get cachepolicies --all-namespaces lists those that there are; -n chooses the namespace", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w. Ask whoever runs the cluster for a role that allows it; kubectl auth can-i --list shows what you may do", err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server does not know who you are: %w. Log in anew, or choose another user with --context or --user", err)
	case errors.As(err, &connection):
		return fmt.Errorf("the API server cannot be reached: %w. Is it the right one (kubectl config current-context)? --context and --kubeconfig choose another", err)
	}
	return err
}
