// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func (p *plugin) suspend() *cobra.Command {
	return p.suspension("suspend", true, "Stop all work on a policy's keys",
		`Stop all work on a policy's keys (spec.suspend: true). Loads that run are cut off,
guards released. Nothing is deleted: keys expire as they would without a policy.`)
}

func (p *plugin) resume() *cobra.Command {
	return p.suspension("resume", false, "Go on with the work on a policy's keys",
		`Go on with the work on a policy's keys (spec.suspend: false). They are listed anew,
and those that are due are refreshed, within the loaders' limits.`)
}

func (p *plugin) suspension(verb string, suspend bool, short, long string) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " NAME",
		Short:             short,
		Long:              long,
		Example:           "  kubectl cachepolicy " + verb + " catalog",
		Args:              exactly("NAME"),
		ValidArgsFunction: p.completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.connect()
			if err != nil {
				return err
			}
			changed, err := c.setSuspend(cmd.Context(), args[0], suspend)
			if err != nil {
				return err
			}
			state := map[bool]string{true: "suspended", false: "resumed"}[suspend]
			if !changed {
				state = map[bool]string{true: "was suspended already", false: "was not suspended"}[suspend] + "; nothing changed"
			}
			p.say("%s %s", c.named(args[0]), state)
			return nil
		},
	}
}

// setSuspend sets spec.suspend, and says whether that changed it.
func (c *cluster) setSuspend(ctx context.Context, name string, suspend bool) (bool, error) {
	policy, err := c.policy(ctx, name)
	if err != nil {
		return false, err
	}
	if policy.Spec.Suspend == suspend {
		return false, nil
	}
	return true, c.Patch(ctx, policy, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, suspend)))
}
