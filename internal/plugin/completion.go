// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// completionTimeout is how long a shell may be kept waiting.
const completionTimeout = 3 * time.Second

// completePolicies completes the name of a policy, as the first argument.
func (p *plugin) completePolicies(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.complete(cmd, begun, func(ctx context.Context, c *cluster) (names []string, err error) {
		var list cachev1alpha1.CachePolicyList
		err = c.List(ctx, &list, client.InNamespace(c.namespace))
		for _, policy := range list.Items {
			names = append(names, policy.Name)
		}
		return names, err
	})
}

// completeKeyspaces completes the last of several keyspaces of the policy named
// before.
func (p *plugin) completeKeyspaces(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	before := begun[:strings.LastIndex(begun, ",")+1]
	return p.complete(cmd, begun, func(ctx context.Context, c *cluster) (names []string, err error) {
		policy, err := c.policy(ctx, args[0])
		for _, k := range policy.Spec.Keyspaces {
			names = append(names, before+k.Name)
		}
		return names, err
	})
}

func (p *plugin) completeNamespaces(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.complete(cmd, begun, func(ctx context.Context, c *cluster) (names []string, err error) {
		var list metav1.PartialObjectMetadataList
		list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
		err = c.List(ctx, &list)
		for _, ns := range list.Items {
			names = append(names, ns.Name)
		}
		return names, err
	})
}

// complete completes what was begun, with what the cluster has. A cluster that
// cannot be asked has nothing.
func (p *plugin) complete(cmd *cobra.Command, begun string, candidates func(context.Context, *cluster) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	c, err := p.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, err := candidates(ctx, c)
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
	}
	var fitting []string
	for _, name := range names {
		if strings.HasPrefix(name, begun) {
			fitting = append(fitting, name)
		}
	}
	return fitting, cobra.ShellCompDirectiveNoFileComp
}
