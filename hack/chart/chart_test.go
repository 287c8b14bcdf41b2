//go:build chart

// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	sigsyaml "sigs.k8s.io/yaml"
)

func TestChart(t *testing.T) {
	c := start(t)
	t.Run("renders what kubeconform and the API server take", func(t *testing.T) { valid(t, c) })
	t.Run("runs as the restricted Pod security standard asks", func(t *testing.T) { restricted(t, c) })
	t.Run("grants the rules of config, in each way of installing", func(t *testing.T) { agrees(t, c) })
	t.Run("tests a cluster with the rights of its test alone", func(t *testing.T) { dryRuns(t, c) })
	t.Run("grants no right beyond watchNamespaces", func(t *testing.T) { rights(t, c) })
	t.Run("runs an operator that is forbidden nothing", func(t *testing.T) { works(t, c) })
	t.Run("runs one that is forbidden nothing in watchNamespaces", func(t *testing.T) { works(t, c, "watchNamespaces={team-a,team-b}") })
	t.Run("has the API server refuse hosts that are not the namespace's own", func(t *testing.T) { ownServices(t, c) })
	t.Run("is upgraded and uninstalled with the policies kept", func(t *testing.T) { lives(t, c) })
	t.Run("installs without Helm", func(t *testing.T) { installsWithoutHelm(t, c) })
}

// valid renders each of the chart's ci/*-values.yaml.
func valid(t *testing.T, c *cluster) {
	schemas := c.schemas(t, "api/v1", "apis/apps/v1", "apis/policy/v1", "apis/networking.k8s.io/v1",
		"apis/rbac.authorization.k8s.io/v1", "apis/admissionregistration.k8s.io/v1", "apis/apiextensions.k8s.io/v1", "apis/monitoring.coreos.com/v1")
	conform := func(manifest string) (string, error) {
		return c.run(t, manifest, c.conformPath, "-strict", "-summary", "-schema-location", schemas)
	}

	files, err := filepath.Glob(filepath.Join(chart, "ci", "*-values.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("too few values to try: %v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			manifest := c.render(t, "--values", file)
			out, err := conform(manifest)
			if err != nil || strings.Contains(out, "Valid: 0,") {
				t.Errorf("kubeconform: %v\n%s", err, out)
			}
			c.kubectl(t, manifest, "apply", "--server-side", "--dry-run=server", "--filename=-")
			t.Log(strings.TrimSpace(out))
		})
	}

	t.Run("and refuse what is wrong", func(t *testing.T) {
		manifest := c.render(t)
		for wrong, right := range map[string]string{"topologyKeys:": "topologyKey:", "replicas: two": "replicas: 2", "replicas: -2": "replicas: 2"} {
			broken := strings.Replace(manifest, right, wrong, 1)
			schemaTells := wrong != "replicas: -2"
			if out, err := conform(broken); (err != nil) != schemaTells {
				t.Errorf("kubeconform on %q: %v\n%s", wrong, err, out)
			}
			if out, err := c.run(t, broken, c.kubectlPath, "apply", "--server-side", "--dry-run=server", "--filename=-"); err == nil {
				t.Errorf("the API server took %q:\n%s", wrong, out)
			}
		}
	})
}

// restricted makes Pods, by dry runs, as the Deployment and the test would.
func restricted(t *testing.T, c *cluster) {
	pods := func(args ...string) map[string]string {
		all := split(t, c.render(t, args...))
		template := into[appsv1.Deployment](t, find(t, all, "Deployment", "")).Spec.Template
		operator, err := sigsyaml.Marshal(corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Name: "operator", Namespace: namespace, Labels: template.Labels},
			Spec:       template.Spec,
		})
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"the operator's Pod": string(operator), "the test's Pod": find(t, all, "Pod", "").text}
	}
	create := []string{"create", "--dry-run=server", "--filename=-"}
	for who, pod := range pods() {
		c.kubectl(t, pod, create...)
		t.Logf("%s is admitted", who)
	}
	for who, pod := range pods("--set", "securityContext.capabilities=null") {
		if out, err := c.run(t, pod, c.kubectlPath, create...); err == nil || !strings.Contains(out, "violates PodSecurity") {
			t.Errorf("%s is admitted with all capabilities: %v\n%s", who, err, out)
		}
	}
}

// lives goes through a release's life: an older chart, this one, other values,
// the end, and a new beginning.
func lives(t *testing.T, c *cluster) {
	older := olderChart(t)
	uid := func(kind, name string) string {
		return c.kubectl(t, "", "get", kind, name, "--output=jsonpath={.metadata.uid}", "--namespace=team-a")
	}
	crd := "customresourcedefinition/cachepolicies.cache.keepfresh.dev"

	c.helm(t, "install", release, older)
	c.kubectl(t, "", "wait", "--for=condition=Established", crd)
	if columns := c.kubectl(t, "", "get", crd, "--output=jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}"); columns != "" {
		t.Fatalf("the older chart's CRD has columns: %s", columns)
	}
	c.kubectl(t, policy, "create", "--namespace=team-a", "--filename=-")
	before := uid("cachepolicy", "prices")

	c.helm(t, "upgrade", release, chart)
	contains(t, "the CRD after the upgrade", c.kubectl(t, "", "get", crd, "--output=yaml"), "name: Fresh")
	if after := uid("cachepolicy", "prices"); after != before {
		t.Errorf("the policy did not outlive the upgrade: %s, then %s", before, after)
	}

	c.helm(t, "upgrade", release, chart, "--set", "watchNamespaces={team-a,team-b},rbac.aggregate=false,metrics.secure=false")
	if left := c.kubectl(t, "", "get", "clusterroles,clusterrolebindings", "--output=name", "--selector=app.kubernetes.io/instance="+release); left != "" {
		t.Errorf("with watchNamespaces there are still cluster-wide roles:\n%s", left)
	}

	c.helm(t, "uninstall", release)
	if left := c.kubectl(t, "", "get", "all,roles,rolebindings,serviceaccounts,poddisruptionbudgets", "--all-namespaces", "--output=name", "--selector=app.kubernetes.io/instance="+release); left != "" {
		t.Errorf("uninstalling leaves:\n%s", left)
	}
	if after := uid("cachepolicy", "prices"); after != before {
		t.Errorf("the policy did not outlive the release: %s, then %s", before, after)
	}

	c.helm(t, "install", release, chart, "--set", "crds.keep=false")
	c.helm(t, "uninstall", release)
	c.kubectl(t, "", "wait", "--for=delete", crd, "--timeout=30s")
}

// olderChart is this chart as it might have been: its CRD had no columns yet.
func olderChart(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "keepfresh")
	if err := os.CopyFS(folder, os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	edit := func(change func(string) string, path ...string) {
		file := filepath.Join(append([]string{folder}, path...)...)
		before := read(t, file)
		after := change(before)
		if before == after {
			t.Fatalf("%s is already as if it were older", file)
		}
		write(t, file, after)
	}
	edit(func(s string) string { return strings.Replace(s, "\nversion: ", "\nversion: 0.0.1-before-", 1) }, "Chart.yaml")
	edit(func(s string) string {
		head, rest, _ := strings.Cut(s, "  - additionalPrinterColumns:\n")
		_, tail, _ := strings.Cut(rest, "\n    name: v1alpha1\n")
		return head + "  - name: v1alpha1\n" + tail
	}, "files", "crds", "cache.keepfresh.dev_cachepolicies.yaml")
	return folder
}

func installsWithoutHelm(t *testing.T, c *cluster) {
	manifest := filepath.Join(root, "dist", "install.yaml")
	c.kubectl(t, "", "apply", "--server-side", "--filename="+manifest)
	c.kubectl(t, "", "wait", "--for=condition=Established", "customresourcedefinition/cachepolicies.cache.keepfresh.dev")
	c.kubectl(t, policy, "create", "--namespace=team-a", "--filename=-")
	c.kubectl(t, "", "apply", "--server-side", "--filename="+manifest)
}

const policy = `
apiVersion: cache.keepfresh.dev/v1alpha1
kind: CachePolicy
metadata:
  name: prices
spec:
  redis: {addresses: ["redis:6379"]}
  expire: 60s
  keyspaces:
  - name: prices
    key: "price:{sku}"
    loader: {http: {url: "http://prices/{sku}"}}
`
