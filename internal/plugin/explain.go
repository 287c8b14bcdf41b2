// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/plugin/report"
)

// cleanupTimeout is how long the deletion of a question may take.
const cleanupTimeout = 5 * time.Second

func (p *plugin) explain() *cobra.Command {
	var out output
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "explain NAME KEY",
		Short: "Ask the operator what it knows of one Redis key",
		Long: `Ask the operator what it knows of one Redis key: which keyspace of the policy owns
it and why, what is loaded for it from where, its TTL, when it is due, who holds its
guard, and how its last rebuild ended.

The question is an object, a KeyExplanation, in the policy's namespace, which is
deleted once it is answered. Whoever may create those there may ask.`,
		Example:           "  kubectl cachepolicy explain catalog product:42",
		Args:              exactly("NAME", "KEY"),
		ValidArgsFunction: p.completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if timeout <= 0 {
				return usage("--timeout is %s; it takes a duration such as 10s", timeout)
			}
			view, err := p.view()
			if err != nil {
				return err
			}
			c, err := p.connect()
			if err != nil {
				return err
			}
			// A mistyped name is told at once, by the API server.
			if _, err := c.policy(cmd.Context(), args[0]); err != nil {
				return err
			}
			answer, err := c.ask(cmd.Context(), args[0], args[1], timeout)
			if err != nil {
				return err
			}
			e := report.Explanation{Policy: c.namespace + "/" + args[0], Key: args[1], KeyExplanationStatus: answer.Status}
			return out.print(p, e, func() string { return view.Explanation(e) })
		},
	}
	out.add(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "How long to wait for the operator's answer.")
	return cmd
}

// ask creates a question, waits for the answer, and deletes it.
func (c *cluster) ask(ctx context.Context, policy, key string, timeout time.Duration) (*cachev1alpha1.KeyExplanation, error) {
	question := &cachev1alpha1.KeyExplanation{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "explain-", Namespace: c.namespace},
		Spec:       cachev1alpha1.KeyExplanationSpec{PolicyName: policy, Key: key},
	}
	if err := c.Create(ctx, question); err != nil {
		return nil, err
	}
	defer func() {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		_ = c.Delete(cleanup, question) // the operator does, if this fails
	}()
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := c.answer(limited, question)
	switch {
	case interrupted(ctx):
		return nil, &exitError{ExitInterrupted, errors.New("interrupted")}
	case limited.Err() != nil:
		return nil, fmt.Errorf("no operator answered within %s. Does it run, and watch namespace %s? "+
			"kubectl get pods --all-namespaces --selector %s shows it, kubectl logs what it says; --timeout waits longer", timeout, c.namespace, operatorSelector)
	}
	return answer, err
}

// answer waits until a question has its answer.
func (c *cluster) answer(ctx context.Context, question *cachev1alpha1.KeyExplanation) (*cachev1alpha1.KeyExplanation, error) {
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, question.Name)
	list := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
		return c.Watch(ctx, &cachev1alpha1.KeyExplanationList{}, &client.ListOptions{Namespace: c.namespace, FieldSelector: only, Raw: &raw})
	}}
	event, err := watchtools.Until(ctx, question.ResourceVersion, list, func(event watch.Event) (bool, error) {
		e, ok := event.Object.(*cachev1alpha1.KeyExplanation)
		if !ok || event.Type == watch.Deleted {
			return false, errors.New("the question was deleted before it was answered; ask again")
		}
		return e.Status.ObservedAt != nil, nil
	})
	if err != nil {
		return nil, err
	}
	return event.Object.(*cachev1alpha1.KeyExplanation), nil
}
