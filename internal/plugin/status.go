// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/plugin/report"
	"github.com/keepfresh/keepfresh/internal/plugin/screen"
)

func (p *plugin) status() *cobra.Command {
	var out output
	var follow bool
	cmd := &cobra.Command{
		Use:   "status NAME",
		Short: "Show how a policy stands",
		Long: `Show how a policy stands: its conditions, its keyspaces, and what failed last.

Exit code 0 means that the policy is Ready, 3 that it is not, 1 that it could not
be read. With --watch it goes on until Ctrl-C, and the code speaks of the last
moment. Numbers are as fresh as the operator's last report, which comes at least
every 30 s.`,
		Example: `  kubectl cachepolicy status catalog
  kubectl cachepolicy status catalog --watch
  kubectl cachepolicy status catalog -o json | jq .keyspaces[].fresh`,
		Args:              exactly("NAME"),
		ValidArgsFunction: p.completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if follow && out.format != "" {
				return usage("--watch draws text; use it without -o")
			}
			if follow {
				return p.watchStatus(cmd.Context(), args[0])
			}
			return p.printStatus(cmd.Context(), args[0], out)
		},
	}
	out.add(cmd)
	cmd.Flags().BoolVarP(&follow, "watch", "w", false, "Go on showing it, with bars, until Ctrl-C.")
	return cmd
}

func (p *plugin) printStatus(ctx context.Context, name string, out output) error {
	view, err := p.view()
	if err != nil {
		return err
	}
	c, err := p.connect()
	if err != nil {
		return err
	}
	policy, err := c.policy(ctx, name)
	if err != nil {
		return err
	}
	status := report.Of(policy, p.now())
	if err := out.print(p, status, func() string { return view.Policy(status) }); err != nil {
		return err
	}
	return ready(status)
}

// ready is the exit code that says so, or not.
func ready(p report.Policy) error {
	if p.Ready == metav1.ConditionTrue {
		return nil
	}
	return &exitError{code: ExitNotReady}
}

func (p *plugin) watchStatus(ctx context.Context, name string) error {
	c, err := p.connect()
	if err != nil {
		return err
	}
	if _, err := c.policy(ctx, name); err != nil { // says what is wrong, which a watch does not
		return err
	}
	var last report.Policy
	err = p.live(ctx, c, c.namespace, name, func(view report.View, policies []cachev1alpha1.CachePolicy) (string, error) {
		if len(policies) == 0 {
			return "", apierrors.NewNotFound(cachev1alpha1.GroupVersion.WithResource("cachepolicies").GroupResource(), name)
		}
		last = report.Of(&policies[0], view.Now)
		return view.Policy(last), nil
	})
	if err != nil {
		return err
	}
	return ready(last)
}

// live draws policies as they change, and on a terminal each second, until the
// context ends or draw fails.
func (p *plugin) live(ctx context.Context, c *cluster, namespace, name string, draw func(report.View, []cachev1alpha1.CachePolicy) (string, error)) error {
	view, err := p.view()
	if err != nil {
		return err
	}
	view.Bars = true
	type answer struct{ err error }
	answers := make(chan answer, 1) // the last, good or bad
	read, changed := c.follow(ctx, namespace, name, func(err error) {
		select {
		case <-answers:
		default:
		}
		answers <- answer{err}
	})
	window := screen.NewLive(p.Out)
	defer window.End()
	var tick <-chan time.Time
	if window.Terminal() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		tick = ticker.C
	}
	notice, begun := "", false
	for {
		select {
		case <-ctx.Done():
			return nil
		case last := <-answers:
			if notice = ""; last.err != nil && ctx.Err() == nil {
				notice = "\n" + view.Bad("Lost touch with the API server, trying again: "+cause(last.err).Error()) + "\n"
			}
		case <-changed:
			begun = true
		case <-tick:
		}
		if !begun {
			continue
		}
		view.Now = p.now()
		text, err := draw(view, read())
		if err != nil {
			return err
		}
		window.Draw(text + notice)
	}
}
