// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	dashboardFile = "../../dashboards/keepfresh.json"
	alertsFile    = "../../dashboards/alerts.yaml"
	metricsPage   = "../../docs/metrics.md"
	runbookFolder = "../../docs/runbooks"
	repository    = "https://github.com/keepfresh/keepfresh/blob/main/"
)

type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func readAlerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alert }
	}
	if err := yaml.Unmarshal(read(t, alertsFile), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no alerts", alertsFile)
	}
	return all
}

var (
	pause  = regexp.MustCompile(`(?m)^(\s+for:) \d+m`)
	window = regexp.MustCompile(`\[\d+m\]`)
)

// hasty returns the alerting rules with short windows and little patience, and
// otherwise as they are.
func hasty(rules []byte) []byte {
	return pause.ReplaceAll(window.ReplaceAll(rules, []byte("["+shortWindow+"]")), []byte("$1 "+shortFor))
}

type panel struct {
	Title, Type, Description string
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []struct {
		Expr    string
		Instant bool
	}
}

type variable struct {
	Name, Type string
	Query      any
}

func readDashboard(t *testing.T) (panels []panel, variables []variable) {
	t.Helper()
	var d struct {
		Panels     []panel
		Templating struct{ List []variable }
	}
	if err := json.Unmarshal(read(t, dashboardFile), &d); err != nil {
		t.Fatal(err)
	}
	return d.Panels, d.Templating.List
}

// filled puts values in the place of Grafana's variables.
func filled(expr string) string {
	return strings.NewReplacer(
		"$__rate_interval", shortWindow, "$__range", shortWindow,
		"$namespace", ".*", "$policy", ".*", "$keyspace", ".*",
	).Replace(expr)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// runbookQueries are the PromQL blocks of all runbooks, by file.
func runbookQueries(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(runbookFolder, "*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no runbooks: %v", err)
	}
	block := regexp.MustCompile("(?s)```promql\n(.*?)```")
	queries := map[string][]string{}
	for _, file := range files {
		for _, found := range block.FindAllStringSubmatch(string(read(t, file)), -1) {
			queries[filepath.Base(file)] = append(queries[filepath.Base(file)], found[1])
		}
	}
	return queries
}

// hostMetrics are the metrics in docs/metrics.md that are not Keepfresh's own.
func hostMetrics(t *testing.T) []string {
	t.Helper()
	_, table, found := strings.Cut(string(read(t, metricsPage)), "## Those of controller-runtime and Go")
	if !found {
		t.Fatalf("%s has no section on the metrics of others", metricsPage)
	}
	var names []string
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 3 {
			continue
		}
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			names = append(names, name[1])
		}
	}
	return names
}
