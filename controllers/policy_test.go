// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

var _ = Describe("A policy", func() {
	It("comes from manifest to Ready and Fresh, with a login and a header from Secrets", func() {
		w := newWorld("--requirepass", "redis-pa55word")
		w.secret("login", map[string]string{"password": "redis-pa55word"})
		w.secret("api", map[string]string{"token": "Bearer t0psecret-token\n"})
		w.apply("catalog", keeps("product:1", "product:2"), loginFrom("login"), sends(headerFrom("Authorization", "api", "token")))

		w.expectReady("catalog")
		Expect(w.says("catalog", redisOK)()).To(Equal("True Connected"))
		Expect(w.says("catalog", loaderOK)()).To(Equal("True LoadsSucceeding"))
		Expect(w.says("catalog", freshOK)()).To(Equal("True KeysFresh"))
		status := w.get("catalog").Status
		Expect(*status.Keys).To(BeEquivalentTo(2))
		Expect(status.Fresh).To(Equal("100%"))
		Expect(status.Redis).To(Equal(w.redis.Addr))
		Expect(status.LastRefreshTime).NotTo(BeNil())
		Expect(status.Keyspaces).To(HaveLen(1))
		Expect(w.backend.header("Authorization")).To(Equal("Bearer t0psecret-token"))
		Expect(w.value("product:1")()).To(HavePrefix("product:1 load"))
	})

	It("refreshes the keys that the application put there before they expire", func() {
		w := newWorld()
		w.set("product:1", "from the application", 20*time.Second)
		w.set("unrelated", "untouched", 0)
		w.apply("catalog")
		Eventually(w.value("product:1")).Should(Equal("product:1 load 1"))
		Consistently(w.value("product:1")).WithTimeout(4 * time.Second).ShouldNot(BeEmpty())
		Eventually(w.backend.loadsOf("product:1")).Should(BeNumerically(">=", 2))
		Expect(w.value("unrelated")()).To(Equal("untouched"))
	})

	It("says that keys are missing, and that they are back", func() {
		w := newWorld()
		w.backend.answer(fails)
		w.apply("catalog", keeps("product:1", "product:2"), short)
		Eventually(w.says("catalog", freshOK)).Should(Equal("False KeysMissing"))
		w.backend.answer(nil)
		w.expectReady("catalog")
		Eventually(w.says("catalog", freshOK)).Should(Equal("True KeysFresh"))
	})

	It("stops within a second when it is suspended, says so, and resumes", func() {
		w := newWorld()
		w.apply("catalog", keeps("product:1"), short)
		w.expectReady("catalog")
		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) { p.Spec.Suspend = true })
		time.Sleep(time.Second)
		loads := w.backend.loadsOf("product:1")()
		Consistently(w.backend.loadsOf("product:1")).WithTimeout(2 * time.Second).Should(Equal(loads))
		Eventually(w.says("catalog", ready)).Should(Equal("False Suspended"))
		Expect(w.says("catalog", redisOK)()).To(Equal("Unknown NotConnected"))
		Expect(w.says("catalog", stalled)()).To(BeEmpty())
		Expect(w.get("catalog").Status.ObservedGeneration).To(BeEquivalentTo(2))
		Expect(w.value("product:1")()).To(BeEmpty(), "nothing keeps it")

		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) { p.Spec.Suspend = false })
		w.expectReady("catalog")
		Expect(w.value("product:1")()).NotTo(BeEmpty())
	})

	It("ends when it is deleted, during a slow load too, and leaves no guard", func() {
		w := newWorld()
		w.backend.answer(holds)
		w.apply("catalog", keeps("product:1"), expires(time.Minute), func(p *cachev1alpha1.CachePolicy) { p.Spec.GuardTimeout = span(20 * time.Second) })
		Eventually(w.backend.loadsOf("product:1")).Should(Equal(1))
		Expect(w.guards()).To(HaveLen(1))
		w.remove("catalog")
		// Less than the lease: it is released, and does not just end.
		Eventually(w.guards).WithTimeout(1500 * time.Millisecond).Should(BeEmpty())
		Eventually(func() bool { return w.atWork("catalog") }).Should(BeFalse())
		Consistently(w.backend.loadsOf("product:1")).WithTimeout(time.Second).Should(Equal(1))
		Expect(w.value("product:1")()).To(BeEmpty())
	})

	It("has no metrics any more when it is deleted", func() {
		w := newWorld()
		w.apply("catalog", keeps("product:1"))
		w.expectReady("catalog")
		Expect(running.exposed()).To(MatchRegexp(`keepfresh_keys\{.*namespace="%s",policy="catalog",state="fresh"\} 1`, w.ns))
		Expect(running.exposed()).NotTo(ContainSubstring("product:1"), "metrics name no keys")
		w.remove("catalog")
		Eventually(running.exposed).ShouldNot(ContainSubstring(w.ns))
	})

	It("that contradicts itself in a way that admission does not see is stalled", func() {
		w := newWorld()
		w.apply("catalog", withKeyspaces(w.keyspace("one", "{a}-x:{b}"), w.keyspace("two", "p-{a}:{b}")))
		Eventually(w.says("catalog", ready)).Should(Equal("False InvalidSpec"))
		Expect(w.says("catalog", stalled)()).To(Equal("True InvalidSpec"))
		Expect(w.because("catalog", ready)()).To(And(ContainSubstring(`"one"`), ContainSubstring(`"two"`)))
	})

	It("warns of a guardTimeout that is too long, as long as it is", func() {
		w := newWorld()
		w.apply("catalog", keeps("product:1"), func(p *cachev1alpha1.CachePolicy) { p.Spec.GuardTimeout = span(19 * time.Second) })
		w.expectReady("catalog")
		Expect(w.says("catalog", warned)()).To(Equal("True GuardTimeoutTooLong"))
		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) { p.Spec.GuardTimeout = span(time.Second) })
		Eventually(w.says("catalog", warned)).Should(BeEmpty())
	})
})

var _ = Describe("An edited spec", func() {
	It("comes into force with its expire, before a key of the former one ends", func() {
		w := newWorld()
		w.set("product:1", "from the application", 20*time.Second)
		w.apply("catalog")
		w.expectReady("catalog")
		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) { p.Spec.Expire = span(time.Hour) })
		Eventually(func() time.Duration { return w.rdb.TTL(context.Background(), "product:1").Val() }).
			WithTimeout(15 * time.Second).Should(BeNumerically(">", time.Minute))
		w.expectReady("catalog")
		Expect(w.get("catalog").Status.ObservedGeneration).To(BeEquivalentTo(2))
	})

	It("comes into force with its url", func() {
		w := newWorld()
		w.apply("catalog", keeps("product:1"))
		w.expectReady("catalog")
		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) { p.Spec.Keyspaces[0].Loader.HTTP.URL = w.backend.URL + "/v2-{id}" })
		Eventually(w.value("product:1")).Should(HavePrefix("v2-1 load"))
		w.expectReady("catalog")
	})

	It("comes into force with keyspaces that are added and removed", func() {
		w := newWorld()
		pages := w.keyspace("pages", "page:{id}", "page:1")
		w.apply("catalog", keeps("product:1"), short)
		w.expectReady("catalog")
		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) { p.Spec.Keyspaces = append(p.Spec.Keyspaces, pages) })
		Eventually(w.value("page:1")).ShouldNot(BeEmpty())
		w.expectReady("catalog")
		Expect(w.get("catalog").Status.Keyspaces).To(HaveLen(2))

		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) { p.Spec.Keyspaces = p.Spec.Keyspaces[1:] })
		Eventually(w.value("product:1")).Should(BeEmpty())
		w.expectReady("catalog")
		Expect(w.get("catalog").Status.Keyspaces).To(HaveLen(1))
		Expect(w.value("page:1")()).NotTo(BeEmpty())
		Eventually(running.exposed).ShouldNot(MatchRegexp(`keyspace="products",namespace="%s"`, w.ns))
	})

	It("comes into force with another Redis", func() {
		w, other := newWorld(), newWorld()
		w.apply("catalog", keeps("product:1"), short)
		w.expectReady("catalog")
		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) { p.Spec.Redis.Addresses = []string{other.redis.Addr} })
		Eventually(other.value("product:1")).ShouldNot(BeEmpty())
		Eventually(w.value("product:1")).Should(BeEmpty())
		w.expectReady("catalog")
		Expect(w.get("catalog").Status.Redis).To(Equal(other.redis.Addr))
	})
})

var _ = Describe("A refresh on demand", func() {
	It("loads every key once for each token, and echoes it", func() {
		w := newWorld()
		keys := []string{"product:1", "product:2", "product:3"}
		w.set("page:1", "from the application", time.Hour)
		w.apply("catalog", withKeyspaces(w.keyspace("products", "product:{id}", keys...), w.keyspace("pages", "page:{id}")), expires(time.Hour))
		w.expectReady("catalog")
		Expect(w.backend.loadsOf(keys...)()).To(Equal(3))
		Expect(w.backend.loadsOf("page:1")()).To(Equal(0))

		for i, token := range []string{"one", "two"} {
			w.requestRefresh("catalog", token)
			Eventually(func() string { return w.get("catalog").Status.LastHandledRefreshAt }).Should(Equal(token))
			for _, key := range keys {
				Expect(w.backend.loadsOf(key)()).To(Equal(2+i), key)
			}
			Expect(w.backend.loadsOf("page:1")()).To(Equal(1 + i))
		}
		Consistently(w.backend.loadsOf(append(keys, "page:1")...)).WithTimeout(2 * time.Second).Should(Equal(11))
		Eventually(w.reasons).Should(WithTransform(times, HaveKeyWithValue("Refreshed", 2)))
		Expect(w.events()).To(HaveEach(HavePrefix("Normal")))
	})

	It("loads the keys of those keyspaces alone that it names", func() {
		w := newWorld()
		w.set("page:1", "from the application", time.Hour)
		w.apply("catalog", withKeyspaces(w.keyspace("products", "product:{id}", "product:1"), w.keyspace("pages", "page:{id}")), expires(time.Hour))
		w.expectReady("catalog")

		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) {
			p.Annotations = map[string]string{cachev1alpha1.RefreshRequestedAtAnnotation: "now", cachev1alpha1.RefreshKeyspacesAnnotation: "pages,nosuch"}
		})
		Eventually(func() string { return w.get("catalog").Status.LastHandledRefreshAt }).Should(Equal("now"))
		Expect(w.backend.loadsOf("page:1")()).To(Equal(1))
		Expect(w.backend.loadsOf("product:1")()).To(Equal(1), "the fill")
		Eventually(w.events).Should(ContainElement(ContainSubstring("of pages, nosuch is done: every key was tried; there is no keyspace nosuch")))
	})
})
