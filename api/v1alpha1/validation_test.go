// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/keepfresh/keepfresh/api/v1alpha1"
)

var _ = Describe("admission", func() {
	for _, table := range []map[string]rule{rules, templateRules} {
		for _, sentence := range slices.Sorted(maps.Keys(table)) {
			rule := table[sentence]
			It("refuses "+sentence+", and says what to do", func(ctx context.Context) {
				err := dryRun(ctx, manifest(rule.refused))
				Expect(apierrors.IsInvalid(err)).To(BeTrue(), "want it refused as invalid, got: %v", err)
				Expect(err).To(MatchError(ContainSubstring(rule.message)))
				Expect(dryRun(ctx, manifest(rule.taken))).To(Succeed())
			})
		}
	}

	It("takes the manifest that the tables change", func(ctx context.Context) {
		Expect(dryRun(ctx, manifest(nil))).To(Succeed())
	})

	It("says of a malformed duration only how to write it", func(ctx context.Context) {
		err := dryRun(ctx, manifest(with("guardTimeout", "1d").and("keyspaces.0.loader.http.timeout", "1d")))
		Expect(err).To(MatchError(ContainSubstring("write a guardTimeout of")))
		Expect(err).To(MatchError(ContainSubstring("write a timeout of")))
		Expect(err).NotTo(MatchError(ContainSubstring("evaluating rule")))
	})

	// Two that cannot overlap must never be refused, however alike they look.
	DescribeTable("takes keyspaces that cannot overlap",
		func(ctx context.Context, templates ...string) {
			Expect(dryRun(ctx, manifest(keyspaces(templates...)))).To(Succeed())
		},
		Entry("other literals in a segment", "a:{x}:b:{y}", "a:{x}:c:{y}"),
		Entry("another number of segments", "a:{x}", "a:{x}:{y}", "a:{x}:{y}:{z}"),
		Entry("a placeholder where the other has nothing", "a:{x}:b", "a::b"),
		Entry("a literal that a longer one begins with", "product:{id}", "products:{id}"),
		Entry("more colons before than behind", "a:{x}:b", "a:x:{y}b"),
		Entry("a literal as short as the wide one's ends", "a:{+x}:b", "a::b", "a:b"),
		Entry("braces that are literal", "a:{{x}}", "a:{{y}}"),
	)

	DescribeTable("has no field yet that nothing implements",
		func(ctx context.Context, field change) {
			Expect(dryRun(ctx, manifest(field))).To(MatchError(ContainSubstring("unknown field")))
		},
		Entry("sentinel", with("redis.sentinel", map[string]any{"masterName": "primary"})),
		Entry("cluster", with("redis.cluster", map[string]any{})),
		Entry("insecureSkipVerify", with("redis.tls", map[string]any{"insecureSkipVerify": true})),
		Entry("staleIfError", with("keyspaces.0.staleIfError", "10m")),
		Entry("stopWhenUnread", with("keyspaces.0.stopWhenUnread", "30m")),
		Entry("list sources", with("keyspaces.0.source", map[string]any{"existing": map[string]any{}, "list": map[string]any{}})),
	)

	It("fills in the defaults", func(ctx context.Context) {
		object := manifest(with("redis.tls.caSecretRef.name", "ca"))
		Expect(dryRun(ctx, object)).To(Succeed())
		policy := typed(object)

		Expect(policy.Spec.RefreshRatio).To(Equal(v1alpha1.DefaultRefreshRatio))
		Expect(policy.Spec.GuardTimeout).To(HaveValue(Equal(v1alpha1.Duration{Duration: v1alpha1.DefaultGuardTimeout})))
		Expect(policy.Spec.Suspend).To(BeFalse())
		Expect(policy.Spec.Redis.Database).To(BeZero())
		Expect(policy.Spec.Redis.TLS.CASecretRef.Key).To(Equal(v1alpha1.DefaultCASecretKey))
		products := policy.Spec.Keyspaces[0]
		Expect(products.Source).To(HaveValue(Equal(v1alpha1.Source{Existing: &v1alpha1.ExistingSource{}})))
		Expect(policy.Spec.Redis.KeyEvents).To(Equal(v1alpha1.KeyEventsAuto))
		Expect(products.OnMiss).To(Equal(v1alpha1.OnMissIgnore))
		Expect(products.OnNotFound).To(Equal(v1alpha1.OnNotFoundDelete))
		Expect(products.Loader.MaxConcurrent).To(Equal(v1alpha1.DefaultMaxConcurrent))
		Expect(products.Loader.MaxPerSecond).To(BeNil())
		Expect(products.Loader.HTTP.MaxBodyBytes).To(Equal(v1alpha1.DefaultMaxBodyBytes))
		Expect(products.Loader.HTTP.Timeout).To(BeNil(), "its default depends on the guardTimeout")
		Expect(products.Expire).To(BeNil())
		Expect(products.RefreshRatio).To(BeEmpty())
		Expect(products.GuardTimeout).To(BeNil())
	})

	It("fills in the size of a batch", func(ctx context.Context) {
		object := manifest(with("keyspaces.0.loader.http.url", "http://h/products:batch").and("keyspaces.0.loader.http.batch", map[string]any{}))
		Expect(dryRun(ctx, object)).To(Succeed())
		Expect(typed(object).Spec.Keyspaces[0].Loader.HTTP.Batch.Size).To(Equal(v1alpha1.DefaultBatchSize))
	})

	It("takes what a Go program writes", func(ctx context.Context) {
		policy := &v1alpha1.CachePolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "typed", Namespace: "default"},
			Spec: v1alpha1.CachePolicySpec{
				Redis:  v1alpha1.Redis{Addresses: []string{"redis:6379"}, TLS: &v1alpha1.RedisTLS{}},
				Expire: &v1alpha1.Duration{Duration: 90 * time.Minute},
				Keyspaces: []v1alpha1.Keyspace{{
					Name:   "products",
					Key:    "product:{id}",
					Source: &v1alpha1.Source{Existing: &v1alpha1.ExistingSource{}},
					Loader: v1alpha1.Loader{HTTP: &v1alpha1.HTTPLoader{URL: "http://catalog/products/{id}"}},
				}},
			},
		}
		Expect(dryRun(ctx, policy)).To(Succeed())
		Expect(policy.Spec.Redis.TLS).NotTo(BeNil())
	})

	It("takes the samples", func(ctx context.Context) {
		files, err := filepath.Glob(filepath.Join("..", "..", "config", "samples", "*.yaml"))
		Expect(err).NotTo(HaveOccurred())
		var policies []string
		for _, file := range files {
			content, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			for _, document := range strings.Split(string(content), "\n---\n") {
				object := parse([]byte(document))
				object.SetNamespace("default")
				Expect(dryRun(ctx, object)).To(Succeed(), file)
				if object.GetKind() == "CachePolicy" {
					policies = append(policies, object.GetName())
					expectNothingToWarnOf(typed(object))
				}
			}
		}
		Expect(policies).To(ConsistOf("catalog", "prices"))
	})

	// A rule's cost is bounded by the API server not only as estimated for the
	// CRD, but also as it runs.
	It("takes the largest policy that fits into a request", func(ctx context.Context) {
		var list []any
		for _, name := range many(32, "k%02d") {
			k := keyspace(name, name+":{a}:x:{b}")
			k["source"] = map[string]any{"keys": many(1000, name+":%d:x:y")}
			list = append(list, k)
		}
		Expect(dryRun(ctx, manifest(with("keyspaces", list)))).To(Succeed())
	})
})

// expectNothingToWarnOf is what distinguishes a good example.
func expectNothingToWarnOf(policy *v1alpha1.CachePolicy) {
	GinkgoHelper()
	for i := range policy.Spec.Keyspaces {
		k := &policy.Spec.Keyspaces[i]
		due, err := k.EffectiveDueAfter(&policy.Spec)
		Expect(err).NotTo(HaveOccurred())
		left := k.EffectiveExpire(&policy.Spec) - due
		Expect(k.EffectiveGuardTimeout(&policy.Spec)).To(BeNumerically("<", left),
			"%s/%s would have the condition Warning", policy.Name, k.Name)
	}
}

// typed reads an object as a Go program would.
func typed(object client.Object) *v1alpha1.CachePolicy {
	GinkgoHelper()
	policy := &v1alpha1.CachePolicy{}
	Expect(k8s.Scheme().Convert(object.(*unstructured.Unstructured), policy, nil)).To(Succeed())
	return policy
}
