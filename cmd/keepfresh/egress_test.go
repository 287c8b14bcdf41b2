// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/redistest"
)

// denies runs the operator with one address of this machine allowed, and policies that
// name another: a server of the operator's own Pod, as it were.
func denies(t *testing.T, binary string, c *cluster) {
	var calls atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	loopback := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = io.WriteString(w, "a secret")
	}))
	_ = loopback.Listener.Close()
	loopback.Listener = l
	loopback.Start()
	t.Cleanup(loopback.Close)

	redis := redistest.Start(t)
	read := policy("tenant", redis.Addr, loopback.URL)
	write := policy("tenant", l.Addr().String(), "http://127.0.0.1:1")
	write.Name, write.Spec.Keyspaces[0].Key, write.Spec.Keyspaces[0].Source.Keys = "writes", "other:{id}", []string{"other:1"}
	var kubernetes corev1.Service
	if err := c.admin.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kubernetes"}, &kubernetes); err != nil {
		t.Fatal(err)
	}
	ask := policy("tenant", redis.Addr, "https://"+kubernetes.Spec.ClusterIP) // which is not how this operator calls the API server
	ask.Name, ask.Spec.Keyspaces[0].Key, ask.Spec.Keyspaces[0].Source.Keys = "asks", "version:{id}", []string{"version:1"}
	c.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tenant"}}, read, write, ask)
	o := start(t, binary, "--kubeconfig="+c.kubeconfig(t, "keepfresh-manager"), "--watch-namespaces=tenant")
	for name, want := range map[string]struct{ condition, rule string }{
		read.Name:  {cachev1alpha1.ConditionLoadersHealthy, "loopback addresses are denied by default"},
		write.Name: {cachev1alpha1.ConditionRedisReachable, "loopback addresses are denied by default"},
		ask.Name:   {cachev1alpha1.ConditionLoadersHealthy, "an address of the API server is denied by default"},
	} {
		c.says(t, o, "tenant", name, want.condition, cachev1alpha1.ReasonEgressDenied, want.rule, "--allow-egress-cidr")
	}
	metrics := o.body(o.metrics + "/metrics")
	for _, name := range []string{`keepfresh_loads_total{keyspace="products",namespace="tenant",policy="catalog",result="EgressDenied"}`,
		`keepfresh_redis_errors_total{namespace="tenant",policy="writes",reason="EgressDenied"}`} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("/metrics lacks %s", name)
		}
	}
	if n := calls.Load(); n > 0 || redis.Client(t).Exists(t.Context(), "tenant:1").Val() > 0 {
		t.Errorf("the tenant has read what he may not: %d calls", n)
	}
	if code := o.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// says waits until a condition of a policy has a reason. Its message has to have words.
func (c *cluster) says(t *testing.T, o *process, namespace, name, condition, reason string, words ...string) {
	t.Helper()
	var said *metav1.Condition
	o.eventually(t, fmt.Sprintf("%s says %s %s", name, condition, reason), func() bool {
		said = apimeta.FindStatusCondition(c.named(t, namespace, name).Status.Conditions, condition)
		return said != nil && said.Reason == reason
	})
	for _, word := range words {
		if !strings.Contains(said.Message, word) {
			t.Errorf("%s: %s", name, said.Message)
		}
	}
}

// named gets a policy.
func (c *cluster) named(t *testing.T, namespace, name string) *cachev1alpha1.CachePolicy {
	t.Helper()
	p := &cachev1alpha1.CachePolicy{}
	if err := c.admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, p); err != nil {
		t.Fatal(err)
	}
	return p
}
