// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// getPolicies returns what kubectl get cachepolicies prints: by kubectl itself
// or, where there is none, from the table that the API server makes for it.
func getPolicies(ctx context.Context, assets, kubeconfig string, cfg *rest.Config) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	kubectl := findKubectl(assets)
	if kubectl == "" {
		return getTable(ctx, cfg)
	}
	out, err := exec.CommandContext(ctx, kubectl, "--kubeconfig="+kubeconfig, "get", "cachepolicies").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl get cachepolicies: %w: %s", err, out)
	}
	return string(out), nil
}

// findKubectl returns the path of kubectl, in assets or on the PATH, or "".
func findKubectl(assets string) string {
	path := filepath.Join(assets, "kubectl")
	if executable(path, "") == nil {
		return path
	}
	path, _ = exec.LookPath("kubectl")
	return path
}

func getTable(ctx context.Context, cfg *rest.Config) (string, error) {
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return "", err
	}
	gv := cachev1alpha1.GroupVersion
	body, err := clients.RESTClient().Get().
		AbsPath("/apis", gv.Group, gv.Version, "namespaces", namespace, "cachepolicies").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").
		Do(ctx).Raw()
	if err != nil {
		return "", fmt.Errorf("get the policies as a table: %w", err)
	}
	var table metav1.Table
	if err := json.Unmarshal(body, &table); err != nil {
		return "", fmt.Errorf("read the policies' table: %w", err)
	}
	return formatTable(&table), nil
}

// formatTable prints a table as kubectl does: the columns of priority 0.
func formatTable(table *metav1.Table) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	line := func(cell func(column int) string) {
		var cells []string
		for i := range table.ColumnDefinitions {
			if table.ColumnDefinitions[i].Priority == 0 {
				cells = append(cells, cell(i))
			}
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	line(func(i int) string { return strings.ToUpper(table.ColumnDefinitions[i].Name) })
	for _, row := range table.Rows {
		line(func(i int) string {
			if i >= len(row.Cells) || row.Cells[i] == nil {
				return ""
			}
			return fmt.Sprint(row.Cells[i])
		})
	}
	_ = w.Flush()
	return text.String()
}
