// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// explanation is all that an answer is made of, besides the time.
type explanation struct {
	question cachev1alpha1.KeyExplanationSpec
	policy   *cachev1alpha1.CachePolicy  // nil if there is none
	others   []cachev1alpha1.CachePolicy // that claim the same keys, the oldest first
	running  bool                        // the engine has a keyspace for the key
	known    refresher.Explanation
}

// status is the answer.
func (x explanation) status(now time.Time) cachev1alpha1.KeyExplanationStatus {
	out := cachev1alpha1.KeyExplanationStatus{ObservedAt: moment(now)}
	k := x.keyspace(&out)
	if k == nil {
		return out
	}
	out.Keyspace = k.Name
	out.Expire = lasting(k.EffectiveExpire(&x.policy.Spec))
	for _, h := range k.Loader.HTTP.Headers {
		out.Loader.Headers = append(out.Loader.Headers, h.Name)
	}
	out.Owned, out.Reason, out.Message = x.owned(k)
	out.State = cachev1alpha1.KeyUnknown
	if x.inForce(k) {
		x.tell(&out)
	}
	return out
}

// keyspace is the one whose template the key matches, which is taken apart by
// it. Without one, the answer says why.
func (x explanation) keyspace(out *cachev1alpha1.KeyExplanationStatus) *cachev1alpha1.Keyspace {
	switch {
	case x.policy == nil:
		out.Reason = cachev1alpha1.ExplainedPolicyNotFound
		out.Message = fmt.Sprintf("there is no CachePolicy %q in this namespace", x.question.PolicyName)
		return nil
	case refresher.Reserved(x.question.Key):
		out.Reason = cachev1alpha1.ExplainedReservedKey
		out.Message = "keys that begin with keepfresh: are the operator's own, and match no template"
		return nil
	}
	var why []string
	for i := range x.policy.Spec.Keyspaces {
		k := &x.policy.Spec.Keyspaces[i]
		d, err := refresher.Describe(k.Key, httpLoader(&x.policy.Spec, k), x.question.Key)
		if err != nil {
			why = append(why, fmt.Sprintf("%s (%s): %v", k.Name, k.Key, err))
			continue
		}
		for _, p := range d.Params {
			out.Parameters = append(out.Parameters, cachev1alpha1.KeyParameter{Name: p.Name, Value: p.Value})
		}
		out.Loader = &cachev1alpha1.KeyLoader{Method: d.Method, URL: clip(d.Address, 4096), Problem: shorten(d.Problem)}
		return k
	}
	out.Reason = cachev1alpha1.ExplainedNoTemplateMatches
	out.Message = clip("the key matches no keyspace's template. "+strings.Join(why, "; "), 4096)
	return nil
}

// owned says whether the policy keeps the key fresh, and why.
func (x explanation) owned(k *cachev1alpha1.Keyspace) (owned bool, reason, message string) {
	if x.policy.Spec.Suspend {
		return false, cachev1alpha1.ExplainedPolicySuspended, "spec.suspend is true: nothing is refreshed"
	}
	if other, name := rival(x.policy, k.Key, x.others); other != nil {
		return false, cachev1alpha1.ExplainedKeyspaceConflict, conflictMessage(k.Name, other, name)
	}
	if k.Source != nil && len(k.Source.Keys) > 0 && !slices.Contains(k.Source.Keys, x.question.Key) {
		return false, cachev1alpha1.ExplainedNotListed,
			fmt.Sprintf("the key matches the template %s of keyspace %q, but is not among its source.keys, which are all that this keyspace keeps", k.Key, k.Name)
	}
	if !x.inForce(k) {
		return false, cachev1alpha1.ExplainedNotInForce, fmt.Sprintf("keyspace %q is not in force (yet): the policy's conditions say why", k.Name)
	}
	message = fmt.Sprintf("the key matches the template %s of keyspace %q", k.Key, k.Name)
	if x.known.Silent {
		message += "; the operator's loop of this keyspace did not answer in time, so it is not known what it has in mind of the key"
	}
	if x.known.State == refresher.KeyMissing && (k.Source == nil || len(k.Source.Keys) == 0) {
		message += "; it is not in Redis, and this keyspace keeps what the application puts there"
	}
	return true, cachev1alpha1.ExplainedTemplateMatches, message
}

// inForce says that the engine works on the keyspace.
func (x explanation) inForce(k *cachev1alpha1.Keyspace) bool {
	return x.running && x.known.Keyspace == k.Name
}

// tell adds what Redis and the engine say.
func (x explanation) tell(out *cachev1alpha1.KeyExplanationStatus) {
	known := x.known
	out.State = cachev1alpha1.KeyState(known.State)
	out.Tracked, out.Failures = known.Tracked, int32(min(known.Failures, 1<<30))
	out.DueTime, out.NextAttemptTime, out.LastLoadTime = moment(known.Due), moment(known.NextAttempt), moment(known.LastLoad)
	out.Breaker = cachev1alpha1.BreakerClosed
	if known.BreakerOpen {
		out.Breaker = cachev1alpha1.BreakerOpen
	}
	if o := known.LastOutcome; o != nil {
		out.LastOutcome = &cachev1alpha1.KeyOutcome{Time: *moment(o.Time), Outcome: o.Outcome}
		if o.Failure != nil {
			out.LastOutcome.Reason, out.LastOutcome.Message = o.Failure.Reason, shorten(o.Failure.Message)
		}
	}
	if known.Redis.Reason != redisconn.Connected {
		out.Problem = shorten(fmt.Sprintf("Redis could not be asked: %s (%s)", known.Redis.Message, known.Redis.Reason))
		return
	}
	if known.TTL >= 0 {
		out.TTL = lasting(known.TTL)
		if age := out.Expire.Duration - known.TTL; age >= 0 {
			out.Age = lasting(age)
		}
	}
	if known.State == refresher.KeyIgnored {
		out.Problem = "a key without an expiry is left alone: a write to it could not be noticed"
		if known.Type != "string" {
			out.Problem = fmt.Sprintf("the key is a %s: only strings are kept fresh", known.Type)
		}
	}
	out.Guard = &cachev1alpha1.KeyGuard{Held: known.Guard.Held}
	if known.Guard.Held {
		out.Guard.Holder, out.Guard.TTL = cachev1alpha1.HeldByOther, lasting(known.Guard.TTL)
		if known.Guard.Ours {
			out.Guard.Holder = cachev1alpha1.HeldByOperator
		}
	}
}

// longest is the longest time that a Duration can be written as.
const longest = 99999 * time.Hour

func lasting(d time.Duration) *cachev1alpha1.Duration {
	return &cachev1alpha1.Duration{Duration: min(d, longest).Truncate(time.Millisecond)}
}

func moment(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	return &metav1.MicroTime{Time: t.Truncate(time.Microsecond)}
}
