// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/redistest"
)

// bounds runs the operator with narrow limits, and with Secrets that have to be labelled.
func bounds(t *testing.T, binary string, c *cluster) {
	for _, wrong := range []string{"--max-policies-per-namespace=-1", "--max-keys-per-namespace=-1", "--max-body-bytes-per-namespace=1000", "--secret-selector=a b", "--max-loads-per-namespace=many", "--http-client=curl"} {
		out, err := exec.CommandContext(t.Context(), binary, wrong, "--kubeconfig="+c.kubeconfig(t, "keepfresh-manager")).CombinedOutput()
		if name, _, _ := strings.Cut(strings.TrimPrefix(wrong, "--"), "="); err == nil || !strings.Contains(string(out), name) {
			t.Errorf("%s is taken: %v\n%s", wrong, err, out)
		}
	}

	var authorization atomic.Value
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if a := r.Header.Get("Authorization"); a != "" {
			authorization.Store(a)
		}
	}))
	t.Cleanup(backend.Close)
	redis := redistest.Start(t)
	c.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "bounded"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "bounded"}, StringData: map[string]string{"token": "t0ken"}})
	small := func(name string) *cachev1alpha1.CachePolicy {
		p := policy("bounded", redis.Addr, backend.URL)
		p.Name, p.Spec.Keyspaces[0].Key, p.Spec.Keyspaces[0].Source.Keys = name, name+":{id}", []string{name + ":1", name + ":2"}
		return p
	}
	first := small("first")
	first.Spec.Keyspaces[0].Loader.HTTP.Headers = []cachev1alpha1.HTTPHeader{{Name: "Authorization",
		ValueFrom: &cachev1alpha1.HTTPHeaderSource{SecretKeyRef: &cachev1alpha1.SecretKeyReference{Name: "api", Key: "token"}}}}
	c.create(t, first)
	o := start(t, binary, "--kubeconfig="+c.kubeconfig(t, "keepfresh-manager"), "--watch-namespaces=bounded",
		"--secret-selector=keepfresh.dev/use=true", "--max-policies-per-namespace=3", "--max-keyspaces-per-namespace=4", "--max-keys-per-namespace=5", "--http-client=net/http")
	c.says(t, o, "bounded", "first", cachev1alpha1.ConditionStalled, cachev1alpha1.ReasonSecretNotFound, "keepfresh.dev/use=true", "--secret-selector")
	labelled := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "bounded", Labels: map[string]string{"keepfresh.dev/use": "true"}}, StringData: map[string]string{"token": "t0ken"}}
	if err := c.admin.Update(t.Context(), labelled); err != nil {
		t.Fatal(err)
	}
	c.says(t, o, "bounded", "first", cachev1alpha1.ConditionReady, cachev1alpha1.ReasonKeepingFresh)
	if authorization.Load() != "t0ken" {
		t.Errorf("the loader is sent %v", authorization.Load())
	}

	// Objects that are made within one second are told apart by their UIDs: only the
	// first is certain to be the oldest.
	names := []string{"second", "third", "fourth"}
	for _, name := range names {
		c.create(t, small(name))
	}
	reasons := func() (ready, full, crowded string) {
		for _, name := range names {
			p := c.named(t, "bounded", name)
			s, f := apimeta.FindStatusCondition(p.Status.Conditions, cachev1alpha1.ConditionStalled), apimeta.FindStatusCondition(p.Status.Conditions, cachev1alpha1.ConditionFresh)
			switch {
			case s != nil && s.Reason == cachev1alpha1.ReasonLimitReached && strings.Contains(s.Message, "--max-policies-per-namespace"):
				full = name
			case f != nil && f.Reason == cachev1alpha1.ReasonLimitReached && strings.Contains(f.Message, "1 keys are left out"):
				crowded = name
			case f != nil && f.Status == metav1.ConditionTrue:
				ready = name
			}
		}
		return ready, full, crowded
	}
	o.eventually(t, "one is fresh, one lacks a key, and one is out of force", func() bool {
		ready, full, crowded := reasons()
		return ready != "" && full != "" && crowded != ""
	})
	_, full, _ := reasons()
	wide := c.named(t, "bounded", "first")
	more := wide.Spec.Keyspaces[0].DeepCopy()
	more.Name, more.Key, more.Source.Keys = "more", "more:{id}", []string{"more:1"}
	wide.Spec.Keyspaces = append(wide.Spec.Keyspaces, *more, *more.DeepCopy())
	wide.Spec.Keyspaces[2].Name, wide.Spec.Keyspaces[2].Key, wide.Spec.Keyspaces[2].Source.Keys = "yet", "yet:{id}", []string{"yet:1"}
	if err := c.admin.Update(t.Context(), wide); err != nil {
		t.Fatal(err)
	}
	o.eventually(t, "the oldest has three of the four keyspaces, and the others have room for one", func() bool {
		stalled := 0
		for _, name := range names {
			s := apimeta.FindStatusCondition(c.named(t, "bounded", name).Status.Conditions, cachev1alpha1.ConditionStalled)
			if s != nil && s.Reason == cachev1alpha1.ReasonLimitReached {
				stalled++
			}
		}
		return stalled == 2
	})
	if err := c.admin.Delete(t.Context(), c.named(t, "bounded", "first")); err != nil {
		t.Fatal(err)
	}
	o.eventually(t, "there is room for all that are left", func() bool {
		return apimeta.FindStatusCondition(c.named(t, "bounded", full).Status.Conditions, cachev1alpha1.ConditionStalled) == nil
	})
	if code := o.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
