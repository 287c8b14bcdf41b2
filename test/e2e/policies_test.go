// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

const manifest = `
spec:
  redis:
    addresses: ["redis.shop.svc:6379"]
    auth: {secretRef: {name: redis}}
  expire: 10s
  guardTimeout: 3s
  keyspaces:
  - name: products
    key: "product:{id}"
    loader: {http: {url: "http://loader.shop.svc:8080/products/{id}", timeout: 2s}}
  - name: pages
    key: "page:{locale}"
    source: {keys: ["page:en", "page:de"]}
    loader: {http: {url: "http://loader.shop.svc:8080/products/page-{locale}", timeout: 2s}}
`

func apply(ctx context.Context, ns, name string) {
	GinkgoHelper()
	policy := &cachev1alpha1.CachePolicy{}
	Expect(yaml.UnmarshalStrict([]byte(manifest), policy)).To(Succeed())
	policy.Namespace, policy.Name = ns, name
	Expect(k8s.Create(ctx, policy)).To(Succeed())
}

func catalog(ctx context.Context) *cachev1alpha1.CachePolicy {
	GinkgoHelper()
	policy := &cachev1alpha1.CachePolicy{}
	Expect(k8s.Get(ctx, client.ObjectKey{Namespace: shopSpace, Name: "catalog"}, policy)).To(Succeed())
	return policy
}

// await waits until the catalog's condition has this status, since a while ago
// or from now on.
func await(ctx context.Context, condition string, status metav1.ConditionStatus) *metav1.Condition {
	GinkgoHelper()
	var found *metav1.Condition
	Eventually(func(g Gomega) {
		policy := &cachev1alpha1.CachePolicy{}
		g.Expect(k8s.Get(ctx, client.ObjectKey{Namespace: shopSpace, Name: "catalog"}, policy)).To(Succeed())
		found = apimeta.FindStatusCondition(policy.Status.Conditions, condition)
		g.Expect(found).NotTo(BeNil())
		g.Expect(found.Status).To(Equal(status), "%s: %s", found.Reason, found.Message)
	}).WithTimeout(90*time.Second).Should(Succeed(), "%s=%s", condition, status)
	return found
}

// awaitMeasured waits until the status speaks of a time after the given one.
func awaitMeasured(ctx context.Context, after time.Time) {
	GinkgoHelper()
	Eventually(func() time.Time {
		if t := catalog(ctx).Status.LastMeasureTime; t != nil {
			return t.Time
		}
		return time.Time{}
	}).WithTimeout(90 * time.Second).Should(BeTemporally(">", after))
}
