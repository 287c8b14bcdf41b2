// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/keepfresh/keepfresh/api/v1alpha1"
)

var _ = Describe("a KeyExplanation", func() {
	question := func(policy, key string) *v1alpha1.KeyExplanation {
		return &v1alpha1.KeyExplanation{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "explain-", Namespace: "default"},
			Spec:       v1alpha1.KeyExplanationSpec{PolicyName: policy, Key: key},
		}
	}
	asked := func(ctx context.Context) *v1alpha1.KeyExplanation {
		q := question("catalog", "product:42")
		Expect(k8s.Create(ctx, q)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(k8s.Delete(ctx, q)).To(Succeed()) })
		return q
	}

	It("explains and bounds every field", func(ctx context.Context) {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		Expect(k8s.Get(ctx, client.ObjectKey{Name: "keyexplanations.cache.keepfresh.dev"}, crd)).To(Succeed())
		expectBounded(*crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
		Expect(crd.Spec.Scope).To(Equal(apiextensionsv1.NamespaceScoped))
	})

	DescribeTable("is refused",
		func(ctx context.Context, policy, key, why string) {
			err := dryRun(ctx, question(policy, key))
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
			Expect(err).To(MatchError(ContainSubstring(why)))
		},
		Entry("without a policy", "", "product:42", "spec.policyName"),
		Entry("without a key", "catalog", "", "spec.key"),
		Entry("for a policy's name that is too long", strings.Repeat("p", 254), "product:42", "spec.policyName: Too long"),
		Entry("for a key that is too long", "catalog", strings.Repeat("k", 1025), "spec.key: Too long"),
	)

	It("cannot be asked otherwise later, which would find the old answer", func(ctx context.Context) {
		q := asked(ctx)
		changed := q.DeepCopy()
		changed.Spec.Key = "product:43"
		Expect(k8s.Patch(ctx, changed, client.MergeFrom(q))).To(MatchError(ContainSubstring("to ask about another key, create another")))
	})

	It("takes an answer with all fields set, and prints it", func(ctx context.Context) {
		q := asked(ctx)
		Expect(row(ctx, "keyexplanations", q)).To(HaveKeyWithValue("State", BeEmpty()))
		now := metav1.NewMicroTime(time.Now().Truncate(time.Microsecond))
		last := func(d time.Duration) *v1alpha1.Duration { return &v1alpha1.Duration{Duration: d} }
		q.Status = v1alpha1.KeyExplanationStatus{
			ObservedAt: &now, Owned: true, Reason: v1alpha1.ExplainedTemplateMatches, Message: "the key matches", Problem: "none",
			Keyspace: "products", Parameters: []v1alpha1.KeyParameter{{Name: "id", Value: "42"}},
			Loader: &v1alpha1.KeyLoader{Method: "GET", URL: "http://catalog/42", Headers: []string{"Accept"}, Problem: "none"},
			State:  v1alpha1.KeyFresh, TTL: last(99999 * time.Hour), Age: last(0), Expire: last(time.Minute),
			Tracked: true, DueTime: &now, NextAttemptTime: &now,
			Guard:        &v1alpha1.KeyGuard{Held: true, Holder: v1alpha1.HeldByOperator, TTL: last(1999 * time.Millisecond)},
			LastLoadTime: &now, LastOutcome: &v1alpha1.KeyOutcome{Time: now, Outcome: "Failed", Reason: "Timeout", Message: "no answer"},
			Failures: 1, Breaker: v1alpha1.BreakerOpen,
		}
		text, err := json.Marshal(q.Status)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).NotTo(Or(ContainSubstring("null"), ContainSubstring(`""`)), "a field is not set")
		sent := q.Status.DeepCopy()
		Expect(k8s.Status().Update(ctx, q)).To(Succeed())
		Expect(q.Status.Guard).To(Equal(sent.Guard))
		Expect(q.Status.ObservedAt.Time).To(BeTemporally("==", now.Time))
		Expect(row(ctx, "keyexplanations", q)).To(SatisfyAll(
			HaveKeyWithValue("Policy", "catalog"), HaveKeyWithValue("Key", "product:42"), HaveKeyWithValue("Reason", "TemplateMatches"),
			HaveKeyWithValue("Keyspace", "products"), HaveKeyWithValue("State", "Fresh"), HaveKeyWithValue("TTL", "99999h"),
			HaveKeyWithValue("Age", MatchRegexp(`^[0-9]+s$`)), HaveKeyWithValue("Problem (wide)", "none"),
		))
	})
})
