// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/plugin/report"
)

func (p *plugin) top() *cobra.Command {
	var all, once bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show all policies, live",
		Long: `Show all policies of a namespace, or of all namespaces, live until Ctrl-C. Those
that are not well come first.`,
		Example: `  kubectl cachepolicy top -A
  kubectl cachepolicy top --once`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.connect()
			if err != nil {
				return err
			}
			namespace := c.namespace
			if all {
				namespace = metav1.NamespaceAll
			}
			return p.showTop(cmd.Context(), c, namespace, once)
		},
	}
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "Show the policies of all namespaces.")
	cmd.Flags().BoolVar(&once, "once", false, "Print them once, and end.")
	return cmd
}

func (p *plugin) showTop(ctx context.Context, c *cluster, namespace string, once bool) error {
	var list cachev1alpha1.CachePolicyList
	if err := c.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return err
	}
	draw := func(view report.View, policies []cachev1alpha1.CachePolicy) (string, error) {
		if len(policies) == 0 {
			return nothing(namespace) + "\n", nil
		}
		reports := ranked(policies, view.Now)
		return summary(reports) + "\n\n" + view.Top(reports, namespace == metav1.NamespaceAll), nil
	}
	if !once && len(list.Items) > 0 {
		return p.live(ctx, c, namespace, "", draw)
	}
	view, err := p.view()
	if err != nil {
		return err
	}
	text, err := draw(view, list.Items)
	_, _ = fmt.Fprint(p.Out, text)
	return err
}

func nothing(namespace string) string {
	if namespace == metav1.NamespaceAll {
		return "There is no CachePolicy."
	}
	return fmt.Sprintf("There is no CachePolicy in namespace %s; -A shows those of all namespaces.", namespace)
}

// ranked are the reports on policies, the worst first.
func ranked(policies []cachev1alpha1.CachePolicy, now time.Time) []report.Policy {
	out := make([]report.Policy, len(policies))
	for i := range policies {
		out[i] = report.Of(&policies[i], now)
	}
	slices.SortFunc(out, func(a, b report.Policy) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), -cmp.Compare(notFresh(a), notFresh(b)),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func rank(p report.Policy) int {
	switch {
	case p.Suspended:
		return 2
	case p.Ready == metav1.ConditionTrue && !p.Silent:
		return 1
	}
	return 0
}

// notFresh is the share of a policy's keys that are not.
func notFresh(p report.Policy) float64 {
	if p.Keys == nil || *p.Keys == 0 {
		return 0
	}
	return float64(*p.Stale+*p.Missing) / float64(*p.Keys)
}

// summary sums policies up.
func summary(policies []report.Policy) string {
	var ready, keys, missing, stale int64
	for _, p := range policies {
		if p.Ready == metav1.ConditionTrue {
			ready++
		}
		if p.Keys != nil {
			keys, stale, missing = keys+*p.Keys, stale+*p.Stale, missing+*p.Missing
		}
	}
	fresh := cmp.Or(cachev1alpha1.FreshShare(keys-stale-missing, keys), "no keys")
	return fmt.Sprintf("Ready: %d of %d policies   Fresh: %s   Keys: %d   Stale: %d   Missing: %d", ready, len(policies), fresh, keys, stale, missing)
}
