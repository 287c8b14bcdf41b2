//go:build chart

// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chart_test tries charts/keepfresh and dist/install.yaml on a real API
// server, with the very helm and kubectl that people use. No controllers run
// there: objects are taken or refused, kept or deleted, but no Pod starts.
package chart_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	sigsyaml "sigs.k8s.io/yaml"
)

const (
	release   = "keepfresh"
	namespace = "keepfresh-system"
)

var (
	root  = filepath.Join("..", "..")
	chart = filepath.Join(root, "charts", "keepfresh")
)

// cluster is an API server, and the programs that talk to it.
type cluster struct {
	helmPath, kubectlPath, conformPath, keepfreshPath string
	kubeconfig                                        string
	home                                              string // helm's
}

// start runs an API server that has the kinds of the Prometheus operator.
func start(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{
		helmPath:      program(t, "HELM"),
		conformPath:   program(t, "KUBECONFORM"),
		keepfreshPath: program(t, "KEEPFRESH_BIN"),
		kubectlPath:   filepath.Join(program(t, "KUBEBUILDER_ASSETS"), "kubectl"),
		home:          t.TempDir(),
	}
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{program(t, "PROMETHEUS_OPERATOR_CRDS")},
		ErrorIfCRDPathMissing: true,
	}
	if _, err := environment.Start(); err != nil {
		t.Fatalf("start the API server: %v", err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	user, err := environment.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatalf("add a user: %v", err)
	}
	config, err := user.KubeConfig()
	if err != nil {
		t.Fatalf("make a kubeconfig: %v", err)
	}
	c.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	write(t, c.kubeconfig, string(config))
	for _, name := range []string{namespace, "team-a", "team-b", "monitoring"} {
		c.kubectl(t, "", "create", "namespace", name)
		c.kubectl(t, "", "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
	}
	return c
}

func program(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s is not set: run make lint-chart", variable)
	}
	return path
}

// run gives what a program wrote, to stdout and stderr together if it failed.
func (c *cluster) run(t *testing.T, stdin, name string, args ...string) (string, error) {
	command := exec.CommandContext(t.Context(), name, args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig,
		"HELM_CACHE_HOME="+c.home, "HELM_CONFIG_HOME="+c.home, "HELM_DATA_HOME="+c.home)
	command.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

func (c *cluster) must(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	out, err := c.run(t, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return out
}

func (c *cluster) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return c.must(t, stdin, c.kubectlPath, args...)
}

func (c *cluster) helm(t *testing.T, args ...string) string {
	t.Helper()
	return c.must(t, "", c.helmPath, append(args, "--namespace", namespace)...)
}

// render gives the chart's objects, those of helm test among them.
func (c *cluster) render(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"template", release, chart,
		"--api-versions", "monitoring.coreos.com/v1/ServiceMonitor",
		"--api-versions", "monitoring.coreos.com/v1/PodMonitor",
		"--api-versions", "monitoring.coreos.com/v1/PrometheusRule"}, args...)
	return c.helm(t, args...)
}

// document is one object of a manifest.
type document struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	text     string
}

// into decodes an object, and refuses fields that its type does not have.
func into[T any](t *testing.T, d document) T {
	t.Helper()
	var object T
	if err := sigsyaml.UnmarshalStrict([]byte(d.text), &object); err != nil {
		t.Fatalf("%s %s: %v", d.Kind, d.Metadata.Name, err)
	}
	return object
}

func split(t *testing.T, manifest string) []document {
	t.Helper()
	var all []document
	for _, text := range strings.Split("\n"+manifest, "\n---") {
		var d document
		if err := yaml.Unmarshal([]byte(text), &d); err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if d.Kind != "" {
			d.text = text
			all = append(all, d)
		}
	}
	return all
}

// find gives the one object of a kind, and of a name if there may be several.
func find(t *testing.T, all []document, kind, name string) document {
	t.Helper()
	for _, d := range all {
		if d.Kind == kind && (name == "" || d.Metadata.Name == name) {
			return d
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return document{}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func contains(t *testing.T, what, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, text)
		}
	}
}

// glob gives the YAML files of folders.
func glob(t *testing.T, folders ...string) []string {
	t.Helper()
	var all []string
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("there is no YAML in %s: %v", folder, err)
		}
		all = append(all, files...)
	}
	return all
}
