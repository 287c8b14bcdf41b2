//go:build chart

// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// agrees holds what the chart and dist/install.yaml render against config/.
func agrees(t *testing.T, c *cluster) {
	var config []document
	for _, file := range glob(t, filepath.Join(root, "config", "rbac"), filepath.Join(root, "config", "crd", "bases")) {
		if filepath.Base(file) != "kustomization.yaml" {
			config = append(config, split(t, read(t, file))...)
		}
	}
	ways := map[string][]document{
		"the chart":         split(t, c.render(t)),
		"dist/install.yaml": split(t, read(t, root, "dist", "install.yaml")),
	}
	for way, rendered := range ways {
		t.Run(way, func(t *testing.T) { sameRights(t, config, rendered) })
	}

	// A Role cannot grant what belongs to no namespace: were the operator's rules
	// to ask for such, watchNamespaces would silently lack it.
	global := strings.Fields(c.kubectl(t, "", "api-resources", "--namespaced=false", "--output=name"))
	for _, rule := range rules(t, config, "ClusterRole", "keepfresh-manager") {
		for _, resource := range rule.Resources {
			name, _, _ := strings.Cut(resource, "/")
			if group := rule.APIGroups[0]; group != "" {
				name += "." + group
			}
			if slices.Contains(global, name) {
				t.Errorf("%s is cluster-wide: watchNamespaces cannot grant it", name)
			}
		}
		if len(rule.NonResourceURLs) > 0 {
			t.Errorf("%v are cluster-wide: watchNamespaces cannot grant them", rule.NonResourceURLs)
		}
	}
}

func sameRights(t *testing.T, config, rendered []document) {
	pairs := []struct{ kind, config, chart string }{
		{"ClusterRole", "keepfresh-manager", "keepfresh"},
		{"ClusterRole", "keepfresh-metrics-reader", "keepfresh-metrics-reader"},
		{"ClusterRole", "keepfresh-view", "keepfresh-view"},
		{"ClusterRole", "keepfresh-edit", "keepfresh-edit"},
		{"ClusterRole", "keepfresh-admin", "keepfresh-admin"},
	}
	for _, p := range pairs {
		if want, got := rules(t, config, p.kind, p.config), rules(t, rendered, p.kind, p.chart); !reflect.DeepEqual(want, got) {
			t.Errorf("%s %s: config says %v, and the chart %v", p.kind, p.chart, want, got)
		}
	}
	for where, name := range map[string]string{namespace: "keepfresh-leader-election", "default": "keepfresh-api-server"} {
		elsewhere := func(d document) bool { return d.Metadata.Namespace != where }
		want := rules(t, slices.DeleteFunc(slices.Clone(config), elsewhere), "Role", "keepfresh-manager")
		if got := rules(t, slices.DeleteFunc(slices.Clone(rendered), elsewhere), "Role", name); !reflect.DeepEqual(want, got) {
			t.Errorf("Role %s: config says %v, and the chart %v", name, want, got)
		}
	}
	config = slices.DeleteFunc(slices.Clone(config), func(d document) bool { return d.Kind == "ServiceAccount" })
	for _, kind := range []string{"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"} {
		if want, got := count(config, kind), count(rendered, kind); want != got {
			t.Errorf("config has %d of kind %s, and the chart %d", want, kind, got)
		}
	}
	for _, d := range config {
		switch d.Kind {
		case "ClusterRoleBinding":
			want := into[rbacv1.ClusterRoleBinding](t, d).RoleRef.Name
			if !slices.ContainsFunc(rendered, func(r document) bool {
				return r.Kind == d.Kind && into[rbacv1.ClusterRoleBinding](t, r).RoleRef.Name == strings.TrimSuffix(want, "-manager")
			}) {
				t.Errorf("the chart binds nobody to %s", want)
			}
		case "CustomResourceDefinition":
			want := into[apiextensionsv1.CustomResourceDefinition](t, d)
			got := into[apiextensionsv1.CustomResourceDefinition](t, find(t, rendered, d.Kind, d.Metadata.Name))
			if !reflect.DeepEqual(want.Spec, got.Spec) {
				t.Errorf("CRD %s is not that of config", want.Name)
			}
		}
	}
}

// dryRuns runs the test's command with the test's rights, as its Pod would.
func dryRuns(t *testing.T, c *cluster) {
	var rights string
	for _, d := range split(t, c.render(t, "--show-only", "templates/tests/dry-run.yaml")) {
		if d.Kind != "Pod" {
			rights += "---" + d.text
		} else if !strings.Contains(d.text, "--check="+namespace) {
			t.Errorf("the test's Pod does not run --check=%s:\n%s", namespace, d.text)
		}
	}
	c.kubectl(t, rights, "apply", "--filename=-")
	defer c.kubectl(t, rights, "delete", "--filename=-")
	tester := c.account(t, "keepfresh-test")
	check := func(kubeconfig string) (string, error) {
		return c.run(t, "", c.keepfreshPath, "--check="+namespace, "--kubeconfig="+kubeconfig)
	}

	out, err := check(tester)
	if err == nil {
		t.Errorf("without CRDs the check succeeds:\n%s", out)
	}
	contains(t, "the check without CRDs", out, "apply the CRDs first")

	c.helm(t, "install", release, chart, "--set", "crds.keep=false")
	defer c.helm(t, "uninstall", release, "--wait=watcher")
	c.kubectl(t, "", "wait", "--for=condition=Established", "customresourcedefinition/cachepolicies.cache.keepfresh.dev")
	if out, err = check(tester); err != nil {
		t.Errorf("the check fails: %v\n%s", err, out)
	}
	contains(t, "the check", out, "a good CachePolicy is taken", "a bad CachePolicy is refused")
	if left := c.kubectl(t, "", "get", "cachepolicies", "--all-namespaces", "--output=name"); left != "" {
		t.Errorf("the check leaves %s", left)
	}

	if out, err = check(c.account(t, "keepfresh")); err == nil {
		t.Errorf("the operator's own account may create policies:\n%s", out)
	}
	contains(t, "the check without rights", out, "needs the right to create cachepolicies")
}

// rights asks the API server what the operator's account may do where.
func rights(t *testing.T, c *cluster) {
	c.helm(t, "install", release, chart, "--set", "crds.keep=false,watchNamespaces={team-a,team-b}")
	defer c.helm(t, "uninstall", release, "--wait=watcher")
	may := func(verb, resource, where string) bool {
		out, _ := c.run(t, "", c.kubectlPath, "auth", "can-i", verb, resource, "--namespace="+where,
			"--as=system:serviceaccount:"+namespace+":keepfresh")
		return strings.TrimSpace(out) == "yes"
	}
	for _, q := range []struct {
		verb, resource, where string
		want                  bool
	}{
		{"list", "cachepolicies.cache.keepfresh.dev", "team-a", true},
		{"watch", "cachepolicies.cache.keepfresh.dev", "team-b", true},
		{"get", "secrets", "team-b", true},
		{"list", "cachepolicies.cache.keepfresh.dev", "monitoring", false},
		{"list", "cachepolicies.cache.keepfresh.dev", namespace, false},
		{"get", "secrets", "monitoring", false},
		{"get", "secrets", namespace, false},
		{"get", "secrets", "kube-system", false},
		{"update", "leases.coordination.k8s.io", namespace, true},
		{"update", "leases.coordination.k8s.io", "team-a", false},
		{"create", "cachepolicies.cache.keepfresh.dev", "team-a", false},
		{"create", "pods", "team-a", false},
		{"create", "tokenreviews.authentication.k8s.io", "team-a", true},
	} {
		if got := may(q.verb, q.resource, q.where); got != q.want {
			t.Errorf("may %s %s in %s: %v", q.verb, q.resource, q.where, got)
		}
	}
}

func rules(t *testing.T, all []document, kind, name string) []rbacv1.PolicyRule {
	t.Helper()
	return into[rbacv1.ClusterRole](t, find(t, all, kind, name)).Rules // a Role has the same fields
}

func count(all []document, kind string) (n int) {
	for _, d := range all {
		if d.Kind == kind {
			n++
		}
	}
	return n
}
