// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/keepfresh/keepfresh/api/v1alpha1"
)

var _ = Describe("the CRD", func() {
	var crd *apiextensionsv1.CustomResourceDefinition
	var root apiextensionsv1.JSONSchemaProps

	BeforeEach(func(ctx context.Context) {
		crd = &apiextensionsv1.CustomResourceDefinition{}
		Expect(k8s.Get(ctx, client.ObjectKey{Name: "cachepolicies.cache.keepfresh.dev"}, crd)).To(Succeed())
		root = *crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	})

	It("is established, structural, and within the API server's cost budget", func() {
		conditions := map[apiextensionsv1.CustomResourceDefinitionConditionType]apiextensionsv1.ConditionStatus{}
		for _, c := range crd.Status.Conditions {
			conditions[c.Type] = c.Status
		}
		Expect(conditions).To(HaveKeyWithValue(apiextensionsv1.Established, apiextensionsv1.ConditionTrue))
		Expect(conditions).To(HaveKeyWithValue(apiextensionsv1.NamesAccepted, apiextensionsv1.ConditionTrue))
		Expect(conditions).NotTo(HaveKey(apiextensionsv1.NonStructuralSchema))
	})

	It("is found by its short name and its category", func() {
		Expect(crd.Spec.Scope).To(Equal(apiextensionsv1.NamespaceScoped))
		Expect(crd.Spec.Names.ShortNames).To(ConsistOf("cachepol"))
		Expect(crd.Spec.Names.Categories).To(ConsistOf("keepfresh"))
		Expect(crd.Spec.Versions[0].Subresources.Status).NotTo(BeNil())
	})

	It("has no rule that the tables leave out", func() {
		var tested []string
		for _, table := range []map[string]rule{rules, templateRules} {
			for _, rule := range table {
				tested = append(tested, rule.message)
			}
		}
		walk("", root, func(path string, schema apiextensionsv1.JSONSchemaProps) {
			for _, validation := range schema.XValidations {
				Expect(slices.ContainsFunc(tested, func(message string) bool {
					return strings.Contains(validation.Message, message)
				})).To(BeTrue(), "%s: no refused manifest for: %s", path, validation.Message)
			}
		})
	})

	It("explains and bounds every field", func() { expectBounded(root) })

	It("prints what one wants to know of a policy", func(ctx context.Context) {
		policy := typed(manifest(nil))
		Expect(k8s.Create(ctx, policy)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(k8s.Delete(ctx, policy)).To(Succeed()) })
		Expect(row(ctx, "cachepolicies", policy)).To(HaveKeyWithValue("Ready", BeEmpty()))

		policy.Status = fullStatus()
		Expect(k8s.Status().Update(ctx, policy)).To(Succeed())
		Expect(row(ctx, "cachepolicies", policy)).To(SatisfyAll(
			HaveKeyWithValue("Ready", "True"),
			HaveKeyWithValue("Fresh", "99.9%"),
			HaveKeyWithValue("Keys", "12040"),
			HaveKeyWithValue("Last Refresh", MatchRegexp(`^[0-9]+s$`)),
			HaveKeyWithValue("Age", MatchRegexp(`^[0-9]+s$`)),
			HaveKeyWithValue("Reason (wide)", "KeepingFresh"),
			HaveKeyWithValue("Redis (wide)", "redis.shop.svc:6379"),
		))
	})

	It("refuses a status that is out of bounds", func(ctx context.Context) {
		policy := typed(manifest(nil))
		Expect(k8s.Create(ctx, policy)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(k8s.Delete(ctx, policy)).To(Succeed()) })

		policy.Status = fullStatus()
		policy.Status.LastHandledRefreshAt = strings.Repeat("t", 254)
		Expect(k8s.Status().Update(ctx, policy)).To(MatchError(ContainSubstring("lastHandledRefreshAt: Too long")))
		policy.Status.LastHandledRefreshAt = strings.Repeat("t", 253)
		policy.Status.Fresh = "99.99%"
		Expect(k8s.Status().Update(ctx, policy)).To(MatchError(ContainSubstring("status.fresh")))
	})
})

// expectBounded is what each field of a kind owes to its users.
func expectBounded(root apiextensionsv1.JSONSchemaProps) {
	GinkgoHelper()
	walk("", root, func(path string, schema apiextensionsv1.JSONSchemaProps) {
		if !strings.HasPrefix(path, ".spec") && !strings.HasPrefix(path, ".status") {
			return
		}
		if !strings.HasSuffix(path, "[]") {
			Expect(schema.Description).NotTo(BeEmpty(), path)
		}
		switch schema.Type {
		case "string":
			bounded := schema.MaxLength != nil || len(schema.Enum) > 0 || schema.Format == "date-time"
			Expect(bounded).To(BeTrue(), "%s has no maxLength", path)
		case "array":
			Expect(schema.MaxItems).NotTo(BeNil(), "%s has no maxItems", path)
		case "integer":
			Expect(schema.Minimum).NotTo(BeNil(), "%s has no minimum", path)
			if strings.HasPrefix(path, ".spec") {
				Expect(schema.Maximum).NotTo(BeNil(), "%s has no maximum", path)
			}
		case "number":
			Fail(path + " is a float")
		}
	})
}

// walk calls visit for a schema and all below it.
func walk(path string, schema apiextensionsv1.JSONSchemaProps, visit func(string, apiextensionsv1.JSONSchemaProps)) {
	visit(path, schema)
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		walk(path+"."+name, schema.Properties[name], visit)
	}
	if schema.Items != nil {
		walk(path+"[]", *schema.Items.Schema, visit)
	}
}

// fullStatus has every field set.
func fullStatus() v1alpha1.CachePolicyStatus {
	now := metav1.NewTime(time.Now().Add(-3 * time.Second))
	return v1alpha1.CachePolicyStatus{
		ObservedGeneration: 1,
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 1,
			Reason: v1alpha1.ReasonKeepingFresh, LastTransitionTime: now,
		}},
		Keys: ptr.To[int64](12040), Fresh: v1alpha1.FreshShare(12039, 12040),
		Stale: ptr.To[int64](1), Missing: ptr.To[int64](0),
		LastRefreshTime: &now, LastMeasureTime: &now,
		LastHandledRefreshAt: "now, please",
		Redis:                "redis.shop.svc:6379",
		Keyspaces: []v1alpha1.KeyspaceStatus{{
			Name: "products", Keys: 12040, Fresh: "99.9%", Stale: 1, Ignored: 2,
			RequiredLoadsPerSecond: v1alpha1.LoadRate(1600), AchievedLoadsPerSecond: v1alpha1.LoadRate(0.27),
			LastRefreshTime: &now, OldestLoadTime: &now,
			LastFailure: &v1alpha1.Failure{Time: now, Reason: v1alpha1.FailureTimeout, Message: "product:1: no answer in 2s"},
		}},
	}
}

// row returns what kubectl get prints of an object, by column; those of -o wide
// are marked.
func row(ctx context.Context, resource string, object client.Object) map[string]string {
	GinkgoHelper()
	withCodecs := rest.CopyConfig(config)
	withCodecs.NegotiatedSerializer = clientgoscheme.Codecs
	api, err := rest.UnversionedRESTClientFor(withCodecs)
	Expect(err).NotTo(HaveOccurred())
	body, err := api.Get().
		AbsPath("apis", v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version,
			"namespaces", object.GetNamespace(), resource, object.GetName()).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").
		DoRaw(ctx)
	Expect(err).NotTo(HaveOccurred())
	table := metav1.Table{}
	Expect(json.Unmarshal(body, &table)).To(Succeed(), string(body))
	Expect(table.Rows).To(HaveLen(1))

	cells := map[string]string{}
	for i, column := range table.ColumnDefinitions {
		name := column.Name
		if column.Priority > 0 {
			name += " (wide)"
		}
		if cell := table.Rows[0].Cells[i]; cell != nil {
			cells[name] = fmt.Sprint(cell)
		} else {
			cells[name] = ""
		}
	}
	return cells
}
