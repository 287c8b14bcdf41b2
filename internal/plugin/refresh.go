// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/human"
	"github.com/keepfresh/keepfresh/internal/plugin/screen"
)

// refreshing is a refresh on demand that is waited for.
type refreshing struct {
	name      string
	keyspaces []string // all if empty
	token     string
	wait      bool
	timeout   time.Duration

	before *cachev1alpha1.CachePolicy
	asked  metav1.Time // by the API server's clock
}

func (p *plugin) refresh() *cobra.Command {
	r := &refreshing{}
	cmd := &cobra.Command{
		Use:   "refresh NAME",
		Short: "Have every key of a policy loaded anew, and wait for it",
		Long: `Have every key of a policy, or of some of its keyspaces, loaded anew once, whatever
its age, within the loaders' limits; and wait until every key was tried.

Exit code 0 means that all loads succeeded. It is 1 if one failed, if the policy is
not at work, or if the timeout passed: the operator goes on then all the same, as
after Ctrl-C (130).`,
		Example: `  kubectl cachepolicy refresh catalog
  kubectl cachepolicy refresh catalog --keyspace products,home --timeout 10m
  kubectl cachepolicy refresh catalog --wait=false`,
		Args:              exactly("NAME"),
		ValidArgsFunction: p.completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.timeout < 0 {
				return usage("--timeout is %s; it takes a duration such as 90s, or 0 for no limit", r.timeout)
			}
			r.name = args[0]
			return p.runRefresh(cmd.Context(), r)
		},
	}
	cmd.Flags().StringSliceVar(&r.keyspaces, "keyspace", nil, "The keyspaces to refresh, separated by commas; all if empty.")
	cmd.Flags().DurationVar(&r.timeout, "timeout", 5*time.Minute, "How long to wait; 0 for no limit.")
	cmd.Flags().BoolVar(&r.wait, "wait", true, "Wait until it is done.")
	_ = cmd.RegisterFlagCompletionFunc("keyspace", p.completeKeyspaces)
	return cmd
}

func (p *plugin) runRefresh(ctx context.Context, r *refreshing) error {
	c, err := p.connect()
	if err != nil {
		return err
	}
	if err := r.ask(ctx, c, p.now()); err != nil {
		return err
	}
	what := "all keyspaces"
	if len(r.keyspaces) > 0 {
		what = strings.Join(r.keyspaces, ", ")
	}
	p.say("%s: refresh of %s requested (%s)", c.named(r.name), what, r.token)
	if !r.wait {
		return nil
	}
	begin := p.now()
	after, err := p.await(ctx, c, r)
	if err != nil {
		return err
	}
	p.say("%s refreshed in %s: every key was tried", c.named(r.name), human.About(p.now().Sub(begin)))
	return r.failures(after)
}

// ask puts the request into the policy's annotations, if it can be served.
func (r *refreshing) ask(ctx context.Context, c *cluster, now time.Time) (err error) {
	if r.before, err = c.policy(ctx, r.name); err != nil {
		return err
	}
	var known []string
	for _, k := range r.before.Spec.Keyspaces {
		known = append(known, k.Name)
	}
	for _, k := range r.keyspaces {
		if !slices.Contains(known, k) {
			return fmt.Errorf("%s has no keyspace %q; it has %s", c.named(r.name), k, strings.Join(known, ", "))
		}
	}
	if err := r.idle(r.before); err != nil {
		return err
	}
	r.token = now.UTC().Format(time.RFC3339Nano)
	annotations := map[string]any{cachev1alpha1.RefreshRequestedAtAnnotation: r.token, cachev1alpha1.RefreshKeyspacesAnnotation: nil}
	if len(r.keyspaces) > 0 {
		annotations[cachev1alpha1.RefreshKeyspacesAnnotation] = strings.Join(r.keyspaces, ",")
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	policy := r.before.DeepCopy()
	if err := c.Patch(ctx, policy, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return err
	}
	r.asked = metav1.Time{Time: now.Truncate(time.Second)}
	for _, entry := range policy.ManagedFields {
		if entry.Time != nil && entry.Subresource == "" && r.asked.Before(entry.Time) {
			r.asked = *entry.Time
		}
	}
	return nil
}

// idle says why the operator does not work on a policy, or nil.
func (r *refreshing) idle(policy *cachev1alpha1.CachePolicy) error {
	if policy.Spec.Suspend {
		return fmt.Errorf("cachepolicy %s/%s is suspended: nothing is refreshed until kubectl cachepolicy resume %s -n %s",
			policy.Namespace, policy.Name, policy.Name, policy.Namespace)
	}
	stalled := apimeta.FindStatusCondition(policy.Status.Conditions, cachev1alpha1.ConditionStalled)
	if stalled != nil && stalled.Status == metav1.ConditionTrue && stalled.ObservedGeneration == policy.Generation &&
		stalled.Reason != cachev1alpha1.ReasonKeyspaceConflict { // there the other keyspaces are at work
		return fmt.Errorf("cachepolicy %s/%s takes no requests while it is Stalled (%s): %s", policy.Namespace, policy.Name, stalled.Reason, stalled.Message)
	}
	return nil
}

// await waits until the operator is done, and returns the policy as it is then.
func (p *plugin) await(ctx context.Context, c *cluster, r *refreshing) (*cachev1alpha1.CachePolicy, error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if r.timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, r.timeout)
	}
	defer cancel()
	read, changed := c.follow(limited, c.namespace, r.name, func(error) {}) // which is tried again until the timeout
	progress := &progress{plugin: p, line: screen.IsTerminal(p.ErrOut), begin: p.now()}
	defer progress.end()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	listed := false
	var policy *cachev1alpha1.CachePolicy
	for {
		select {
		case <-limited.Done():
			return nil, r.unfinished(ctx, c, policy)
		case <-changed:
			listed = true
		case <-ticker.C:
		}
		if !listed {
			continue
		}
		policies := read()
		if len(policies) == 0 {
			return nil, fmt.Errorf("%s was deleted before the refresh was done", c.named(r.name))
		}
		policy = &policies[0]
		if done, err := r.done(policy); done || err != nil {
			return policy, err
		}
		progress.show(policy)
	}
}

// done says whether the request was served, or an error if it will not be.
func (r *refreshing) done(policy *cachev1alpha1.CachePolicy) (bool, error) {
	if policy.Status.LastHandledRefreshAt == r.token {
		return true, nil
	}
	if token := policy.Annotations[cachev1alpha1.RefreshRequestedAtAnnotation]; token != r.token {
		return false, fmt.Errorf("another request (%s) took the place of this one before it was done", token)
	}
	return false, r.idle(policy)
}

// unfinished says what goes on when nobody waits any more.
func (r *refreshing) unfinished(ctx context.Context, c *cluster, policy *cachev1alpha1.CachePolicy) error {
	later := fmt.Sprintf("kubectl cachepolicy status %s -n %s tells when it is done", r.name, c.namespace)
	if interrupted(ctx) {
		return &exitError{ExitInterrupted, fmt.Errorf("interrupted; the operator goes on with the refresh. %s", later)}
	}
	why := "the operator goes on with it"
	if policy != nil && policy.Status.ObservedGeneration != policy.Generation {
		why = "the operator (is it running?) has not reported on this policy"
	} else if policy != nil {
		ready := apimeta.FindStatusCondition(policy.Status.Conditions, cachev1alpha1.ConditionReady)
		if ready != nil && ready.Status != metav1.ConditionTrue {
			why += fmt.Sprintf(", but the policy is not Ready (%s): %s", ready.Reason, ready.Message)
		}
	}
	return fmt.Errorf("the refresh was not done within %s; %s. %s", r.timeout, why, later)
}

// failures are the loads that have failed since the request.
func (r *refreshing) failures(after *cachev1alpha1.CachePolicy) error {
	known := map[string]*cachev1alpha1.Failure{}
	for _, k := range r.before.Status.Keyspaces {
		known[k.Name] = k.LastFailure
	}
	var failed []string
	for _, k := range after.Status.Keyspaces {
		if len(r.keyspaces) > 0 && !slices.Contains(r.keyspaces, k.Name) {
			continue
		}
		if f := k.LastFailure; f != nil && !f.Time.Before(&r.asked) && !equality.Semantic.DeepEqual(f, known[k.Name]) {
			failed = append(failed, fmt.Sprintf("keyspace %s: %s: %s", k.Name, f.Reason, f.Message))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("loads failed, at last these; the keys concerned keep their old values and are tried again:\n  %s", strings.Join(failed, "\n  "))
}

// progress tells of a wait: on a terminal in one line that is written anew, else
// in a line now and then.
type progress struct {
	*plugin
	line  bool
	begin time.Time
	next  time.Duration
	said  string
}

const progressEvery = 10 * time.Second

func (p *progress) show(policy *cachev1alpha1.CachePolicy) {
	waited := p.now().Sub(p.begin).Truncate(time.Second)
	keys := "?"
	if n := policy.Status.Keys; n != nil {
		keys = fmt.Sprint(*n)
	}
	state := fmt.Sprintf("%s keys in the policy", keys)
	if c := apimeta.FindStatusCondition(policy.Status.Conditions, cachev1alpha1.ConditionReady); c != nil && c.Status != metav1.ConditionTrue {
		state += fmt.Sprintf("; not Ready: %s: %s", c.Reason, c.Message)
	}
	if p.line {
		_, _ = fmt.Fprint(p.ErrOut, "\r\x1b[K"+screen.Clip(fmt.Sprintf("waiting %s: %s", waited, state), screen.Width(p.ErrOut)-1))
		return
	}
	if state != p.said || waited >= p.next {
		p.note("waiting %s: %s", waited, state)
		p.said, p.next = state, waited+progressEvery
	}
}

func (p *progress) end() {
	if p.line {
		_, _ = fmt.Fprint(p.ErrOut, "\r\x1b[K")
	}
}
