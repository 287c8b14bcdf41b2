// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

// ask asks about a key, as kubectl cachepolicy explain does.
func (w *world) ask(policy, key string) *cachev1alpha1.KeyExplanation {
	GinkgoHelper()
	q := &cachev1alpha1.KeyExplanation{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "explain-", Namespace: w.ns},
		Spec:       cachev1alpha1.KeyExplanationSpec{PolicyName: policy, Key: key},
	}
	create(q)
	return q
}

// explain asks about a key, and waits for the answer.
func (w *world) explain(policy, key string) cachev1alpha1.KeyExplanationStatus {
	GinkgoHelper()
	q := w.ask(policy, key)
	Eventually(func() *metav1.MicroTime {
		Expect(admin.Get(context.Background(), client.ObjectKeyFromObject(q), q)).To(Succeed())
		return q.Status.ObservedAt
	}).ShouldNot(BeNil())
	return q.Status
}

// tracks waits until the operator has a key in its schedule.
func (w *world) tracks(policy, key string) {
	GinkgoHelper()
	Eventually(func() bool {
		e, _ := running.engine.Explain(context.Background(), w.id(policy), key)
		return e.Tracked
	}).Should(BeTrue())
}

var _ = Describe("A KeyExplanation", func() {
	It("tells what there is to a key, and no secret", func() {
		w := newWorld("--requirepass", "redis-pa55word")
		w.secret("login", map[string]string{"password": "redis-pa55word"})
		w.secret("api", map[string]string{"token": "explained-t0ken"})
		w.apply("catalog", loginFrom("login"), func(p *cachev1alpha1.CachePolicy) {
			k := w.keyspace("products", "product:{shop}:{id}", "product:eu:a b")
			k.Loader.HTTP.URL = w.backend.URL + "/{shop}/{id}?key={key}"
			k.Loader.HTTP.Headers = []cachev1alpha1.HTTPHeader{headerFrom("Authorization", "api", "token"), {Name: "Accept", Value: new("text/plain")}}
			p.Spec.Keyspaces = []cachev1alpha1.Keyspace{k, w.keyspace("pages", "page:{id}")}
		})
		w.expectReady("catalog")

		before := time.Now()
		got := w.explain("catalog", "product:eu:a b")
		Expect(got.ObservedAt.Time).To(BeTemporally("~", before, 10*time.Second))
		Expect(got.Owned).To(BeTrue())
		Expect(got.Reason).To(Equal(cachev1alpha1.ExplainedTemplateMatches))
		Expect(got.Problem).To(BeEmpty())
		Expect(got.Keyspace).To(Equal("products"))
		Expect(got.Parameters).To(Equal([]cachev1alpha1.KeyParameter{{Name: "shop", Value: "eu"}, {Name: "id", Value: "a b"}}))
		Expect(*got.Loader).To(Equal(cachev1alpha1.KeyLoader{
			Method: "GET", URL: w.backend.URL + "/eu/a%20b?key=product%3Aeu%3Aa%20b", Headers: []string{"Authorization", "Accept"}}))
		Expect(got.State).To(BeElementOf(cachev1alpha1.KeyFresh, cachev1alpha1.KeyStale))
		Expect(got.Expire.Duration).To(Equal(20 * time.Second))
		Expect(got.TTL.Duration).To(BeNumerically("~", 19*time.Second, 2*time.Second))
		Expect(got.Age.Duration + got.TTL.Duration).To(Equal(20 * time.Second))
		Expect(got.Tracked).To(BeTrue())
		Expect(got.DueTime.Time).To(BeTemporally("~", got.ObservedAt.Time, 4*time.Second))
		Expect(got.LastLoadTime.Time).To(BeTemporally("~", got.ObservedAt.Time, 4*time.Second))
		Expect(*got.LastOutcome).To(And(HaveField("Outcome", "Committed"), HaveField("Reason", "")))
		Expect(got.Failures).To(BeZero())
		Expect(got.Breaker).To(Equal(cachev1alpha1.BreakerClosed))
		w.expectNoSecrets(context.Background())
	})

	It("says that a batch loader is asked by POST", func() {
		w := newWorld()
		w.apply("catalog", func(p *cachev1alpha1.CachePolicy) {
			k := w.keyspace("products", "product:{id}", "product:1")
			k.Loader.HTTP.URL = w.backend.URL + "/batch"
			k.Loader.HTTP.Batch = &cachev1alpha1.Batch{}
			p.Spec.Keyspaces = []cachev1alpha1.Keyspace{k}
		})
		Eventually(func() string { return w.explain("catalog", "product:1").Reason }).Should(Equal(cachev1alpha1.ExplainedTemplateMatches))
		Expect(*w.explain("catalog", "product:1").Loader).To(Equal(cachev1alpha1.KeyLoader{Method: "POST", URL: w.backend.URL + "/batch"}))
	})

	It("says why a key is not the policy's", func() {
		w := newWorld()
		w.apply("catalog", withKeyspaces(w.keyspace("products", "product:{id}"), w.keyspace("home", "page:{locale}:home", "page:en:home")))
		w.expectReady("catalog")
		for _, c := range []struct{ policy, key, reason, message string }{
			{"other", "product:1", "PolicyNotFound", `there is no CachePolicy "other" in this namespace`},
			{"catalog", "keepfresh:guard:{product:1}", "ReservedKey", "the operator's own"},
			{"catalog", "price:1", "NoTemplateMatches", `products (product:{id}): the key does not begin with "product:"; home (page:{locale}:home): the key does not begin with "page:"`},
			{"catalog", "product:1:2", "NoTemplateMatches", "a placeholder {name} stands for no colon; {+name} would"},
			{"catalog", "page:de:home", "NotListed", "is not among its source.keys"},
		} {
			got := w.explain(c.policy, c.key)
			Expect(got.Owned).To(BeFalse(), c.key)
			Expect(got.Reason).To(Equal(c.reason), c.key)
			Expect(got.Message).To(ContainSubstring(c.message), c.key)
			Expect(got.Tracked).To(BeFalse(), c.key)
		}
		got := w.explain("catalog", "product:404")
		Expect(got.Owned).To(BeTrue())
		Expect(got.State).To(Equal(cachev1alpha1.KeyMissing))
		Expect(got.Message).To(ContainSubstring("it is not in Redis"))
		Expect(got.TTL).To(BeNil())
	})

	It("says that the policy is suspended, or yields to an older one, or is not in force", func() {
		w := newWorld()
		w.apply("older", keeps("product:1"))
		w.expectReady("older")
		time.Sleep(1100 * time.Millisecond) // ages are told in seconds
		w.apply("younger", keeps("product:2"))
		Eventually(w.says("younger", stalled)).Should(Equal("True KeyspaceConflict"))
		got := w.explain("younger", "product:2")
		Expect(got.Reason).To(Equal(cachev1alpha1.ExplainedKeyspaceConflict))
		Expect(got.Message).To(ContainSubstring(w.ns + "/older"))
		Expect(got.Owned).To(BeFalse())
		Expect(got.State).To(Equal(cachev1alpha1.KeyUnknown))

		w.edit("older", func(p *cachev1alpha1.CachePolicy) { p.Spec.Suspend = true })
		Eventually(w.says("older", ready)).Should(Equal("False Suspended"))
		got = w.explain("older", "product:1")
		Expect(got.Reason).To(Equal(cachev1alpha1.ExplainedPolicySuspended))
		Expect(got.Owned).To(BeFalse())
		Expect(got.Loader.URL).To(Equal(w.backend.URL + "/product%3A1"))

		w.apply("broken", withKeyspaces(w.keyspace("pages", "page:{id}")), loginFrom("missing"))
		Eventually(w.says("broken", stalled)).Should(Equal("True SecretNotFound"))
		Expect(w.explain("broken", "page:1").Reason).To(Equal(cachev1alpha1.ExplainedNotInForce))
	})

	It("tells that Redis cannot be asked, once", func() {
		w := newWorld()
		w.apply("catalog", keeps("product:1"))
		w.expectReady("catalog")
		w.redis.Stop()
		Eventually(w.says("catalog", redisOK)).Should(Equal("False ConnectionFailed"))
		q := w.ask("catalog", "product:1")
		read := func() *cachev1alpha1.KeyExplanation {
			Expect(admin.Get(context.Background(), client.ObjectKeyFromObject(q), q)).To(Succeed())
			return q
		}
		Eventually(func() string { return read().Status.Problem }).Should(ContainSubstring("ConnectionFailed"))
		Expect(q.Status.Owned).To(BeTrue())
		Expect(q.Status.Tracked).To(BeTrue())
		Expect(q.Status.State).To(Equal(cachev1alpha1.KeyUnknown))
		Expect(q.Status.Guard).To(BeNil())
		answered := q.ResourceVersion
		Expect(w.redis.Start()).To(Succeed())
		w.expectReady("catalog")
		Consistently(func() string { return read().ResourceVersion }).WithTimeout(time.Second).Should(Equal(answered))
	})

	It("tells who holds the guard", func() {
		w := newWorld()
		w.apply("catalog", keeps("product:1"))
		w.expectReady("catalog")
		Expect(w.explain("catalog", "product:1").Guard.Held).To(BeFalse())

		Expect(w.rdb.Set(context.Background(), "keepfresh:guard:{product:1}", "an-application", time.Minute).Err()).To(Succeed())
		got := w.explain("catalog", "product:1").Guard
		Expect(got.Held).To(BeTrue())
		Expect(got.Holder).To(Equal(cachev1alpha1.HeldByOther))
		Expect(got.TTL.Duration).To(BeNumerically("~", 55*time.Second, 5*time.Second))
		Expect(w.rdb.Del(context.Background(), "keepfresh:guard:{product:1}").Err()).To(Succeed())

		w.backend.answer(holds)
		w.requestRefresh("catalog", "now")
		Eventually(func() cachev1alpha1.GuardHolder { return w.explain("catalog", "product:1").Guard.Holder }).Should(Equal(cachev1alpha1.HeldByOperator))
		w.backend.answer(nil)
	})

	It("tells what failed, how often, and when the next try is", func() {
		w := newWorld()
		w.apply("catalog", keeps("product:1", "product:2", "product:3"))
		w.expectReady("catalog")
		w.backend.answer(func(rw http.ResponseWriter, _ *http.Request) {
			http.Error(rw, "the body is nobody's business", http.StatusTeapot)
		})
		Eventually(w.says("catalog", loaderOK)).Should(Equal("False LoadsFailing"))
		Eventually(func() cachev1alpha1.BreakerState { return w.explain("catalog", "product:1").Breaker }).Should(Equal(cachev1alpha1.BreakerOpen))
		got := w.explain("catalog", "product:1")
		Expect(got.Failures).To(BeNumerically(">=", 1))
		Expect(*got.LastOutcome).To(And(HaveField("Outcome", "Failed"), HaveField("Reason", "UnexpectedStatus"),
			HaveField("Message", And(ContainSubstring("418"), Not(ContainSubstring("business"))))))
		Expect(got.NextAttemptTime).To(Or(BeNil(), HaveField("Time", BeTemporally(">=", got.ObservedAt.Time))))
		w.backend.answer(nil)
		w.expectReady("catalog")
		Eventually(func() string { return w.explain("catalog", "product:1").LastOutcome.Outcome }).Should(Equal("Committed"))
	})

	It("tells why a key is ignored", func() {
		w := newWorld()
		ctx := context.Background()
		Expect(w.rdb.HSet(ctx, "product:hash", "field", "value").Err()).To(Succeed())
		Expect(w.rdb.Expire(ctx, "product:hash", time.Hour).Err()).To(Succeed())
		w.set("product:lasting", "value", 0)
		w.apply("catalog")
		w.expectReady("catalog")
		w.tracks("catalog", "product:hash")
		for key, why := range map[string]string{"product:hash": "the key is a hash", "product:lasting": "without an expiry"} {
			got := w.explain("catalog", key)
			Expect(got.State).To(Equal(cachev1alpha1.KeyIgnored), key)
			Expect(got.Problem).To(ContainSubstring(why), key)
		}
	})

	It("is answered for the longest key and the largest policy, within the schema's bounds", func() {
		w := newWorld()
		w.apply("catalog", func(p *cachev1alpha1.CachePolicy) {
			p.Spec.Keyspaces = nil
			for i := range 32 {
				p.Spec.Keyspaces = append(p.Spec.Keyspaces, w.keyspace(fmt.Sprintf("k%d", i), fmt.Sprintf("%s%d:{+id}", long(200), i)))
			}
			p.Spec.Keyspaces[31].Key = "wide:{+id}"
		})
		w.expectReady("catalog")
		got := w.explain("catalog", long(1024))
		Expect(got.Reason).To(Equal(cachev1alpha1.ExplainedNoTemplateMatches))
		Expect(got.Message).To(HaveLen(4096))
		got = w.explain("catalog", "wide:"+wide(1019))
		Expect(got.Owned).To(BeTrue())
		Expect(got.Loader.URL).To(HaveLen(4096))
		Expect(got.Parameters[0].Value).To(Equal(wide(1019)))
	})

	It("is deleted a while after it was answered", func() {
		w := newWorld()
		q := w.ask("catalog", "product:1")
		gone := func() bool {
			running.explainer.wakeups.Notify(refresher.ID(client.ObjectKeyFromObject(q)))
			return apierrors.IsNotFound(admin.Get(context.Background(), client.ObjectKeyFromObject(q), q))
		}
		Eventually(func() *metav1.MicroTime {
			Expect(admin.Get(context.Background(), client.ObjectKeyFromObject(q), q)).To(Succeed())
			return q.Status.ObservedAt
		}).ShouldNot(BeNil())
		DeferCleanup(func() { running.clock.ahead.Store(0) })
		running.clock.ahead.Store(int64(keepAnswers - 30*time.Second))
		Consistently(gone).WithTimeout(time.Second).Should(BeFalse())
		running.clock.ahead.Store(int64(keepAnswers))
		Eventually(gone).Should(BeTrue())
	})
})

// long and wide are n characters, of one byte and of three.
func long(n int) string { return strings.Repeat("x", n) }
func wide(n int) string { return strings.Repeat("鍵", n) }

func TestOnlyTheLeaderAnswers(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := cachev1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	question := &cachev1alpha1.KeyExplanation{
		ObjectMeta: metav1.ObjectMeta{Name: "question", Namespace: "shop", UID: "uid"},
		Spec:       cachev1alpha1.KeyExplanationSpec{PolicyName: "catalog", Key: "product:1"},
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(question).WithStatusSubresource(question).Build()
	election, now := &Election{}, time.Now()
	r := &KeyExplanationReconciler{Client: api, Election: election, Now: func() time.Time { return now }}
	key := client.ObjectKeyFromObject(question)

	for _, c := range []struct {
		when           string
		leads          bool
		later          time.Duration
		answered, gone bool
		again          time.Duration
	}{
		{"a follower leaves it", false, 0, false, false, 0},
		{"the leader answers", true, 0, true, false, keepAnswers},
		{"an answer is kept", true, keepAnswers - time.Minute, true, false, time.Minute},
		{"a follower does not delete it", false, keepAnswers, true, false, 0},
		{"the leader does", true, 0, true, true, 0},
		{"what is gone is gone", true, 0, true, true, 0},
	} {
		now = now.Add(c.later)
		election.leads(time.Time{})
		if c.leads {
			election.leads(time.Now().Add(time.Hour))
		}
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
		if err != nil {
			t.Fatalf("%s: %v", c.when, err)
		}
		if result.RequeueAfter.Round(time.Second) != c.again {
			t.Errorf("%s: again after %s, want %s", c.when, result.RequeueAfter, c.again)
		}
		after := &cachev1alpha1.KeyExplanation{}
		err = api.Get(t.Context(), key, after)
		if apierrors.IsNotFound(err) != c.gone || client.IgnoreNotFound(err) != nil {
			t.Errorf("%s: %v", c.when, err)
		}
		if !c.gone && (after.Status.ObservedAt != nil) != c.answered {
			t.Errorf("%s: %+v", c.when, after.Status)
		}
	}
}
