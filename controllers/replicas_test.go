// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

// replica is one of several operators, with a way to the API server of its own.
type replica struct {
	*operator
	name string // as managed fields have it
	gate *gate
}

// quick has an election end within seconds.
func quick(mgr ctrl.Manager) *Election {
	GinkgoHelper()
	e, err := NewElection(mgr, "keepfresh-system")
	Expect(err).NotTo(HaveOccurred())
	e.lease, e.renew, e.retry = 4*time.Second, 3*time.Second, 500*time.Millisecond
	return e
}

// startReplicas starts two instead of the operator that runs during every spec.
func startReplicas() []*replica {
	GinkgoHelper()
	running.stop()
	DeferCleanup(func() { running = startOperator(ctrl.Log, user, nil) })
	var replicas []*replica
	for _, name := range []string{"replica-a", "replica-b"} {
		r := &replica{name: name, gate: openGate(gateway.target)}
		DeferCleanup(r.gate.close)
		conf := rest.CopyConfig(user)
		conf.Host, conf.UserAgent = "https://"+r.gate.addr(), name+"/test"
		r.operator = startOperator(ctrl.Log, conf, quick)
		DeferCleanup(func() { r.stop() })
		replicas = append(replicas, r)
	}
	running = replicas[0].operator // for what every spec looks at
	return replicas
}

// leader is the one that leads, and the other.
func leader(replicas []*replica) (leads, follows *replica) {
	GinkgoHelper()
	Eventually(func() int {
		n := 0
		for i, r := range replicas {
			if r.election.Leads() {
				n++
				leads, follows = r, replicas[1-i]
			}
		}
		return n
	}).Should(Equal(1))
	return leads, follows
}

// writers are those who have written to a policy's status.
func (w *world) writers(name string) []string {
	GinkgoHelper()
	var out []string
	for _, f := range w.get(name).ManagedFields {
		if f.Subresource == "status" {
			out = append(out, f.Manager)
		}
	}
	return out
}

var _ = Describe("Of two replicas", Serial, func() {
	It("both refresh, but only the leader writes and calls the loader", func() {
		replicas := startReplicas()
		leads, follows := leader(replicas)
		w := newWorld()
		keys := []string{"product:1", "product:2", "product:3", "product:4", "product:5", "product:6", "product:7", "product:8"}
		w.apply("catalog", keeps(keys...))
		w.expectReady("catalog")
		for _, r := range replicas {
			Eventually(func() bool { s, ok := r.engine.Snapshot(w.id("catalog")); return ok && s.Keyspaces[0].Converged }).Should(BeTrue())
		}
		loads := w.backend.loadsOf(keys...)()
		w.requestRefresh("catalog", "token-1")
		Eventually(func() string { return w.get("catalog").Status.LastHandledRefreshAt }).Should(Equal("token-1"))
		Expect(w.backend.loadsOf(keys...)()-loads).To(BeNumerically("<", 2*len(keys)), "one for each key, and some that were due")

		of := func(r *replica) refresher.KeyspaceSnapshot {
			s, _ := r.engine.Snapshot(w.id("catalog"))
			return s.Keyspaces[0]
		}
		led, followed := of(leads).Loads.Succeeded, of(follows).Loads.Succeeded
		time.Sleep(6 * time.Second) // three lifetimes up to the refresh ratio
		Expect(w.writers("catalog")).To(ConsistOf(leads.name))
		led, followed = of(leads).Loads.Succeeded-led, of(follows).Loads.Succeeded-followed
		Expect(led).To(BeNumerically(">=", len(keys)))
		Expect(followed).To(BeNumerically("<=", led/3), "the leader goes first")
		Expect(of(follows).Late).To(BeZero())
		Expect(of(follows).Fresh).To(BeNumerically(">=", len(keys)-2), "the follower knows of the leader's rebuilds")
		Expect(follows.ended).NotTo(Receive())
	})

	It("the other takes over when the leader loses the API server, and no key is missing meanwhile", func() {
		replicas := startReplicas()
		was, becomes := leader(replicas)
		w := newWorld()
		w.apply("catalog", keeps("product:1"))
		w.expectReady("catalog")

		was.gate.set(true)
		lost := time.Now()
		w.requestRefresh("catalog", "while nobody leads")
		Consistently(w.value("product:1")).WithTimeout(5 * time.Second).ShouldNot(BeEmpty())
		Eventually(func() string { return w.get("catalog").Status.LastHandledRefreshAt }).Should(Equal("while nobody leads"))
		Expect(time.Since(lost)).To(BeNumerically("<", becomes.election.lease+4*time.Second))
		Expect(w.writers("catalog")).To(ConsistOf(was.name, becomes.name))
		Expect(was.election.Leads()).To(BeFalse())

		was.gate.set(false) // it is none the worse for it
		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) {
			p.Spec.Keyspaces[0].Source.Keys = []string{"product:1", "product:2"}
		})
		w.expectReady("catalog")
		Eventually(func() int64 { s, _ := was.engine.Snapshot(w.id("catalog")); return s.Keyspaces[0].Keys }).Should(BeEquivalentTo(2))
		Expect(was.ended).NotTo(Receive())
		Expect(becomes.election.Leads()).To(BeTrue())
	})

	It("both go on without an API server, and one writes when it is back", func() {
		replicas := startReplicas()
		leader(replicas)
		w := newWorld()
		w.apply("catalog", keeps("product:1"))
		w.expectReady("catalog")
		for _, r := range replicas {
			r.gate.set(true)
		}
		Eventually(func() bool { return replicas[0].election.Leads() || replicas[1].election.Leads() }).Should(BeFalse())
		loads := w.backend.loadsOf("product:1")()
		Consistently(w.value("product:1")).WithTimeout(5 * time.Second).ShouldNot(BeEmpty())
		Eventually(w.backend.loadsOf("product:1")).Should(BeNumerically(">=", loads+2))
		w.requestRefresh("catalog", "meanwhile")
		for _, r := range replicas {
			r.gate.set(false)
		}
		Eventually(func() string { return w.get("catalog").Status.LastHandledRefreshAt }).WithTimeout(time.Minute).Should(Equal("meanwhile"))
		leader(replicas)
		for _, r := range replicas {
			Expect(r.ended).NotTo(Receive())
		}
	})
})

// applied is an engine that remembers the last plan.
type applied struct {
	Engine
	plan refresher.Plan
}

func (a *applied) Apply(_ refresher.ID, p refresher.Plan) error { a.plan = p; return nil }

func (a *applied) Snapshot(refresher.ID) (refresher.Snapshot, bool) {
	return refresher.Snapshot{}, true
}

func TestOnlyTheLeaderTakesUpARefreshOnDemand(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := cachev1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	policy := catalog()
	policy.Annotations = map[string]string{cachev1alpha1.RefreshRequestedAtAnnotation: "token"}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(policy).WithStatusSubresource(policy).
		WithIndex(policy, claimIndex, func(o client.Object) []string { return claims(o.(*cachev1alpha1.CachePolicy)) }).Build()
	engine, election := &applied{}, &Election{}
	r := &CachePolicyReconciler{Client: api, Engine: engine, Events: events.NewFakeRecorder(9), Election: election, secrets: newSecretCache(api, api, nil)}

	for _, c := range []struct {
		now   string
		until time.Time
		token string
	}{
		{"a follower", time.Time{}, ""},
		{"the leader", time.Now().Add(time.Hour), "token"},
		{"one whose lease is over", time.Now().Add(-time.Second), ""},
	} {
		election.leads(c.until)
		key := client.ObjectKeyFromObject(policy)
		before := &cachev1alpha1.CachePolicy{}
		after := before.DeepCopy()
		if err := api.Get(t.Context(), key, before); err != nil {
			t.Fatal(err)
		}
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
		if err != nil {
			t.Fatal(err)
		}
		if err := api.Get(context.Background(), key, after); err != nil {
			t.Fatal(err)
		}
		leads := c.token != ""
		if wrote := before.ResourceVersion != after.ResourceVersion; wrote != leads || (result.RequeueAfter > 0) != leads {
			t.Errorf("%s wrote a status: %v, and is to look again after %s", c.now, wrote, result.RequeueAfter)
		}
		if engine.plan.Refresh != c.token {
			t.Errorf("%s hands over the token %q, want %q", c.now, engine.plan.Refresh, c.token)
		}
	}
}
