// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// One story, told in order: each step finds what the one before has left.
var _ = Describe("A release", Ordered, func() {
	var before struct {
		shop   shopStats
		loader loaderStats
		at     time.Time
	}
	mark := func(ctx context.Context) {
		before.shop, before.loader, before.at = stats[shopStats](ctx, "shop"), stats[loaderStats](ctx, "loader"), time.Now()
	}
	// noReaderWaited is what all of this is for.
	noReaderWaited := func(ctx context.Context) {
		GinkgoHelper()
		now := stats[shopStats](ctx, "shop")
		Expect(now.Reads).To(BeNumerically(">", before.shop.Reads), "the shop must have read")
		Expect(now.Misses-before.shop.Misses).To(BeZero(), "of %d reads since %s", now.Reads-before.shop.Reads, time.Since(before.at))
		Expect(stats[loaderStats](ctx, "loader").Doubled-before.loader.Doubled).To(BeZero(), "loads of a key while another ran")
	}
	// notStormed holds the loader's calls against what the keys' lifetime asks for.
	notStormed := func(ctx context.Context) {
		GinkgoHelper()
		calls := stats[loaderStats](ctx, "loader").Calls - before.loader.Calls
		lifetimes := float64(time.Since(before.at))/float64(expire)/0.5 + 1
		Expect(float64(calls)).To(BeNumerically("<", (products+2)*lifetimes), "in %s", time.Since(before.at))
	}

	It("installs with helm into a namespace of restricted Pods", func(ctx context.Context) {
		install(ctx, "install", previousChart, previousImage)
		Expect(operators(ctx)).To(HaveLen(2))
		run(ctx, helmProgram, "test", release, "--namespace", namespace, "--logs")
	})

	It("makes a policy Ready and Fresh, its Redis and loader found by their DNS names", func(ctx context.Context) {
		deployShop(ctx)
		apply(ctx, shopSpace, "catalog")
		await(ctx, cachev1alpha1.ConditionReady, metav1.ConditionTrue)
		await(ctx, cachev1alpha1.ConditionFresh, metav1.ConditionTrue)
		Eventually(func() *int64 { return catalog(ctx).Status.Keys }).Should(HaveValue(BeNumerically("==", products+2)))
		Expect(redisKeys(ctx, "page:*")).To(ConsistOf("page:en", "page:de"))
	})

	It("spares the readers every wait, with one load at a time for a key", func(ctx context.Context) {
		mark(ctx)
		time.Sleep(3 * expire)
		noReaderWaited(ctx)
		notStormed(ctx)
	})

	It("keeps policies and schedule over a helm upgrade", func(ctx context.Context) {
		was := catalog(ctx)
		mark(ctx)
		install(ctx, "upgrade", chart, operatorImage)
		for _, pod := range operators(ctx) {
			Expect(pod.Spec.Containers[0].Image).To(Equal(operatorImage))
		}
		awaitMeasured(ctx, time.Now())
		is := catalog(ctx)
		Expect(is.UID).To(Equal(was.UID))
		Expect(is.Generation).To(Equal(was.Generation))
		Expect(is.Status.Keys).To(Equal(was.Status.Keys))
		await(ctx, cachev1alpha1.ConditionFresh, metav1.ConditionTrue)
		noReaderWaited(ctx)
		notStormed(ctx)
	})

	It("goes on refreshing when the leader is killed, and another writes the status", func(ctx context.Context) {
		first := leader(ctx)
		mark(ctx)
		kill(ctx, first)
		time.Sleep(expire) // shorter than the election's lease
		Expect(stats[loaderStats](ctx, "loader").Calls-before.loader.Calls).To(BeNumerically(">=", products), "loads since the leader's death")
		Eventually(func() string { return leader(ctx) }).Should(Not(Equal(first)))
		awaitMeasured(ctx, before.at)
		await(ctx, cachev1alpha1.ConditionReady, metav1.ConditionTrue)
		noReaderWaited(ctx)
		awaitReady(ctx, namespace, release)
	})

	It("tells of a loader Service without endpoints, and heals", func(ctx context.Context) {
		scale(ctx, "loader", 0)
		await(ctx, cachev1alpha1.ConditionLoadersHealthy, metav1.ConditionFalse)
		await(ctx, cachev1alpha1.ConditionReady, metav1.ConditionFalse)
		// At first a call may hang on its way to a Pod that has just gone.
		Eventually(func() *cachev1alpha1.Failure { return catalog(ctx).Status.Keyspaces[0].LastFailure }).
			Should(HaveField("Reason", cachev1alpha1.FailureConnectionFailed))
		scale(ctx, "loader", 1)
		await(ctx, cachev1alpha1.ConditionLoadersHealthy, metav1.ConditionTrue)
		await(ctx, cachev1alpha1.ConditionReady, metav1.ConditionTrue)
	})

	It("tells of a Redis that is gone, and keeps the one that comes back empty", func(ctx context.Context) {
		scale(ctx, "redis", 0)
		await(ctx, cachev1alpha1.ConditionRedisReachable, metav1.ConditionFalse)
		await(ctx, cachev1alpha1.ConditionReady, metav1.ConditionFalse)
		scale(ctx, "redis", 1)
		await(ctx, cachev1alpha1.ConditionRedisReachable, metav1.ConditionTrue)
		await(ctx, cachev1alpha1.ConditionReady, metav1.ConditionTrue)
		Eventually(func() *int64 { return catalog(ctx).Status.Keys }).Should(HaveValue(BeNumerically("==", products+2)))
		mark(ctx)
		time.Sleep(2 * expire)
		noReaderWaited(ctx)
	})

	// The plugin and the metrics are looked at while this release is there.
	It("serves kubectl cachepolicy", pluginCommands)
	It("adds rights on policies to Kubernetes' roles of users", userRoles)
	It("serves metrics to those who may read them", scrape)

	It("minds just the namespaces that it is told to, with rights in no other", func(ctx context.Context) {
		createNamespace(ctx, "elsewhere")
		install(ctx, "upgrade", chart, operatorImage, "--set", "watchNamespaces={"+shopSpace+"}")
		apply(ctx, "elsewhere", "unseen")
		awaitMeasured(ctx, time.Now())
		await(ctx, cachev1alpha1.ConditionReady, metav1.ConditionTrue)
		Consistently(func(g Gomega) {
			unseen := &cachev1alpha1.CachePolicy{}
			g.Expect(k8s.Get(ctx, client.ObjectKey{Namespace: "elsewhere", Name: "unseen"}, unseen)).To(Succeed())
			g.Expect(unseen.Status.Conditions).To(BeEmpty())
		}).WithTimeout(5 * time.Second).Should(Succeed())
	})

	It("never asked for what it has no right to", func() {
		Expect(logs.lines("forbidden")).To(BeEmpty())
		Expect(logs.lines("keepfresh")).NotTo(BeEmpty(), "the logs must have been read at all")
	})

	It("leaves the CRDs and policies on uninstall, and no guard in Redis", func(ctx context.Context) {
		was := catalog(ctx)
		run(ctx, helmProgram, "uninstall", release, "--namespace", namespace, "--wait")
		Eventually(func() int { return len(operators(ctx)) }).Should(BeZero())
		Expect(redisKeys(ctx, "keepfresh:*")).To(BeEmpty())
		crd := &metav1.PartialObjectMetadata{}
		crd.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
		Expect(k8s.Get(ctx, types.NamespacedName{Name: "cachepolicies.cache.keepfresh.dev"}, crd)).To(Succeed())
		Expect(catalog(ctx).UID).To(Equal(was.UID))
	})
})
