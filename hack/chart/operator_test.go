//go:build chart

// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

// works runs the operator as the Deployment would: with its arguments, and with
// the rights of its account and no others. Its metrics are for metrics.readers.
func works(t *testing.T, c *cluster, values ...string) {
	set := "crds.keep=false,metrics.readers[0].namespace=monitoring,metrics.readers[0].name=prometheus"
	for _, v := range values {
		set += "," + v
	}
	c.helm(t, "install", release, chart, "--set", set)
	defer c.helm(t, "uninstall", release, "--wait=watcher")
	c.kubectl(t, "", "wait", "--for=condition=Established", "customresourcedefinition/cachepolicies.cache.keepfresh.dev")
	c.kubectl(t, policy, "create", "--namespace=team-a", "--filename=-")

	deployment := into[appsv1.Deployment](t, find(t, split(t, c.render(t, "--set", set)), "Deployment", ""))
	health, metrics := freeAddress(t), freeAddress(t)
	args := append(deployment.Spec.Template.Spec.Containers[0].Args, // of which the last of a name counts
		"--health-probe-bind-address="+health, "--metrics-bind-address="+metrics,
		"--leader-election-namespace="+namespace, "--kubeconfig="+c.account(t, "keepfresh"))
	operator := exec.CommandContext(t.Context(), c.keepfreshPath, args...)
	var log bytes.Buffer
	operator.Stdout, operator.Stderr = &log, &log
	if err := operator.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "/readyz answers 200", func() bool { return get(t, "http://"+health+"/readyz", "") == http.StatusOK })
	eventually(t, "the leader writes status", func() bool {
		return c.kubectl(t, "", "get", "cachepolicy", "prices", "--namespace=team-a", "--output=jsonpath={.status.conditions[*].type}") != ""
	})
	eventually(t, "it tells an event", func() bool {
		return c.kubectl(t, "", "get", "events.events.k8s.io", "--namespace=team-a", "--output=name") != ""
	})
	for token, want := range map[string]int{
		"":                                     http.StatusUnauthorized,
		c.token(t, namespace, "stranger"):      http.StatusForbidden,
		c.token(t, "monitoring", "prometheus"): http.StatusOK,
	} {
		if got := get(t, "https://"+metrics+"/metrics", token); got != want {
			t.Errorf("metrics answer %d, and not %d", got, want)
		}
	}
	if err := operator.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := operator.Wait(); err != nil {
		t.Errorf("the operator ends with %v", err)
	}
	if strings.Contains(log.String(), "forbidden") || t.Failed() {
		t.Errorf("the operator logged:\n%s", log.String())
	}
}

// account makes a kubeconfig with the token of a ServiceAccount.
func (c *cluster) account(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, file, read(t, c.kubeconfig))
	token := c.kubectl(t, "", "create", "token", name, "--namespace="+namespace)
	c.kubectl(t, "", "--kubeconfig="+file, "config", "set-credentials", name, "--token="+token)
	c.kubectl(t, "", "--kubeconfig="+file, "config", "set-context", "--current", "--user="+name)
	return file
}

// token makes an account, if there is none, and a token of it.
func (c *cluster) token(t *testing.T, namespace, account string) string {
	t.Helper()
	c.kubectl(t, fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s}}", account),
		"apply", "--namespace="+namespace, "--filename=-")
	return strings.TrimSpace(c.kubectl(t, "", "create", "token", account, "--namespace="+namespace))
}

// get gives the status of the answer, and 0 if there is none. The operator signs
// its certificate itself.
func get(t *testing.T, url, token string) int {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	anyCertificate := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: anyCertificate}).Do(request)
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode
}

func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("it did not happen that %s", what)
			return
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return fmt.Sprint(listener.Addr())
}
