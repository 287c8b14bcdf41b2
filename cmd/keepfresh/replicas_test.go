// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/redistest"
)

// takesOver kills the leader of two replicas in the middle of a load: the key
// must never be missing, and the other has to lead and write status.
func takesOver(t *testing.T, binary string, c *cluster) {
	rdb := redistest.Start(t)
	redis := rdb.Client(t)
	loading := make(chan struct{}, 100)
	loader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		loading <- struct{}{}
		time.Sleep(300 * time.Millisecond)
		_, _ = io.WriteString(w, "value")
	}))
	t.Cleanup(loader.Close)
	// 3 s are left to a key that becomes stale: more than a guard is leased for.
	p := policy("replicated", rdb.Addr, loader.URL)
	p.Spec.Expire = &cachev1alpha1.Duration{Duration: 8 * time.Second}
	c.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}}, p)

	args := []string{"--kubeconfig=" + c.kubeconfig(t, "keepfresh-manager"), "--watch-namespaces=" + p.Namespace,
		"--leader-elect", "--leader-election-namespace=" + electionNamespace}
	leads := start(t, binary, args...)
	leads.eventually(t, "it leads", func() bool { return strings.Contains(leads.body(leads.metrics+"/metrics"), leading(1)) })
	stands := start(t, binary, args...)
	stands.eventually(t, "a follower is ready", func() bool { return stands.status(stands.probes+"/readyz") == http.StatusOK })
	stands.eventually(t, "the policy is Ready", func() bool { return c.ready(t, p.Namespace) })
	stands.eventually(t, "the follower refreshes too", func() bool {
		return strings.Contains(stands.body(stands.metrics+"/metrics"), `keepfresh_keys{keyspace="products",namespace="replicated",policy="catalog",state="fresh"} 1`)
	})
	if !strings.Contains(stands.body(stands.metrics+"/metrics"), leading(0)) {
		t.Errorf("the follower does not show %s", leading(0))
	}

	for len(loading) > 0 {
		<-loading
	}
	<-loading // one runs now
	if err := leads.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	if c.admin.Patch(t.Context(), p, client.RawPatch("application/merge-patch+json",
		[]byte(`{"metadata":{"annotations":{"`+cachev1alpha1.RefreshRequestedAtAnnotation+`":"after the kill"}}}`))) != nil {
		t.Fatal("the refresh could not be asked for")
	}
	stands.eventually(t, "the follower has taken over", func() bool {
		if redis.Get(t.Context(), "replicated:1").Val() == "" {
			t.Fatalf("the key is missing %s after the leader was killed", time.Since(killed))
		}
		return c.get(t, p.Namespace).Status.LastHandledRefreshAt == "after the kill"
	})
	if !strings.Contains(stands.body(stands.metrics+"/metrics"), leading(1)) {
		t.Errorf("the new leader does not show %s", leading(1))
	}
	if code := stands.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// leading is how the metrics show whether a replica leads.
func leading(value int) string {
	return `leader_election_master_status{name="keepfresh.cache.keepfresh.dev"} ` + string(rune('0'+value))
}
