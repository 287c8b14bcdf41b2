// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func needs(t *testing.T, variables ...string) {
	t.Helper()
	for _, v := range variables {
		if os.Getenv(v) == "" {
			t.Skipf("%s is not set: make observe runs this", v)
		}
	}
}

// The story of a bad day: all is well, then every fault comes that an alert is
// for, then all is mended, and in the end the operators are gone.
func TestEveryAlertFiresForItsFaultAndEveryPanelShows(t *testing.T) {
	needs(t, "KUBEBUILDER_ASSETS", "KEEPFRESH_BIN", "PROMETHEUS_DIR")
	w := newWorld(t)
	p := w.observe()
	fired := map[string]bool{}

	t.Log("--- all is well")
	settled := fmt.Sprintf(`count(keepfresh_settled == 1) == %d and count(keepfresh_fresh_ratio > 0.99) == %[1]d`, 2*6)
	eventually(t, "both operators keep all six keyspaces fresh", time.Minute, func() error {
		v, err := p.instant(settled)
		if err == nil && len(v) == 0 {
			err = fmt.Errorf("not all are settled and fresh")
		}
		return err
	})
	well := time.Now().Add(2 * time.Second)
	time.Sleep(15 * time.Second)
	if names := p.fired(well); len(names) > 0 {
		t.Errorf("without a fault fired: %v", names)
	}

	t.Log("--- a loader fails, another is too slow, a Redis is gone, one is too small, and status cannot be written")
	w.kubectl("", "delete", "clusterrolebinding", "keepfresh-manager")
	w.broken.Store(true)
	w.limitSlow(2) // by each of two operators: 50 keys need 8 loads a second
	w.remote.Stop()
	w.shrink("4mb")
	wanted := []string{
		"KeepfreshLoaderFailing/broken", "KeepfreshKeysExpired/broken", "KeepfreshNotFresh/broken",
		"KeepfreshLoaderTooSlow/slow", "KeepfreshRefreshLag/slow", "KeepfreshRedisUnreachable/remote", "KeepfreshReconcileErrors",
		"KeepfreshKeysEvicted/crowded",
	}
	for _, alert := range wanted {
		eventually(t, alert+" fires", 75*time.Second, func() error {
			if slices.Contains(p.fired(well), alert) {
				return nil
			}
			return fmt.Errorf("these do: %v", p.firing())
		})
		name, _, _ := strings.Cut(alert, "/")
		fired[name] = true
	}
	w.kubectl("", "apply", "-k", "../../config/rbac")
	w.kubectl("", "delete", "rolebinding", "keepfresh-manager", "--namespace", systemNamespace)
	eventually(t, "KeepfreshNoLeader fires", time.Minute, func() error { return p.lacking("KeepfreshNoLeader") })
	fired["KeepfreshNoLeader"] = true
	for _, name := range p.fired(well) {
		if strings.HasSuffix(name, "/catalog") {
			t.Errorf("%s fired, and nothing is wrong with it", name)
		}
	}

	t.Run("panels", p.panels)
	t.Run("variables", p.variables)
	t.Run("runbooks", p.runbooks)
	t.Run("metrics of others", p.others)

	t.Log("--- the loader that failed answers, but finds nothing")
	w.broken.Store(false)
	w.populate("broken")
	w.lost.Store(true)
	eventually(t, "KeepfreshManyNotFound fires", 75*time.Second, func() error {
		if slices.Contains(p.fired(well), "KeepfreshManyNotFound/broken") {
			return nil
		}
		return fmt.Errorf("these do: %v", p.firing())
	})
	fired["KeepfreshManyNotFound"] = true

	t.Log("--- all is mended")
	w.kubectl("", "apply", "-k", "../../config/rbac")
	w.lost.Store(false)
	w.limitSlow(100)
	w.shrink("0")
	if err := w.remote.Start(); err != nil {
		t.Fatal(err)
	}
	w.populate(families()...)
	eventually(t, "no alert fires any more", 90*time.Second, func() error {
		if names := p.firing(); len(names) > 0 {
			return fmt.Errorf("these do: %v", names)
		}
		return nil
	})

	t.Log("--- the operators are gone")
	for _, o := range w.operators {
		o.stop()
	}
	eventually(t, "KeepfreshDown fires", 30*time.Second, func() error { return p.lacking("KeepfreshDown") })
	fired["KeepfreshDown"] = true

	for _, a := range readAlerts(t) {
		if !fired[a.Alert] {
			t.Errorf("%s was not made to fire: a fault for it is missing in this test", a.Alert)
		}
	}
}

func (w *world) limitSlow(perSecond int) {
	w.t.Helper()
	w.kubectl("", "patch", "cachepolicy", "slow", "--namespace", "shop", "--type=json",
		fmt.Sprintf(`--patch=[{"op": "replace", "path": "/spec/keyspaces/0/loader/maxPerSecond", "value": %d}]`, perSecond))
}

// shrink leaves the Redis of the policy crowded so much memory, which it evicts keys for.
func (w *world) shrink(maxmemory string) {
	w.t.Helper()
	for name, value := range map[string]string{"maxmemory": maxmemory, "maxmemory-policy": "allkeys-lru"} {
		if err := w.crowded.Client(w.t).ConfigSet(w.t.Context(), name, value).Err(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (p *prometheus) panels(t *testing.T) {
	panels, _ := readDashboard(t)
	targets := 0
	for _, panel := range panels {
		for _, target := range panel.Targets {
			targets++
			numbers, err := p.shown(filled(target.Expr), target.Instant)
			if err != nil || numbers == 0 {
				t.Errorf("panel %q: %d values, %v, of %s", panel.Title, numbers, err, target.Expr)
			}
		}
	}
	t.Logf("%d expressions of %d panels have values", targets, len(panels))
	if targets < len(panels)/2 {
		t.Errorf("only %d expressions were found", targets)
	}
}

func (p *prometheus) variables(t *testing.T) {
	_, variables := readDashboard(t)
	for _, v := range variables {
		if v.Type != "query" {
			continue
		}
		query, _ := v.Query.(map[string]any)["query"].(string)
		selector, label, ok := cutLast(strings.TrimSuffix(strings.TrimPrefix(query, "label_values("), ")"), ", ")
		if !ok || label != v.Name {
			t.Errorf("variable %s asks for %q", v.Name, query)
			continue
		}
		values, warnings, _, err := p.LabelValues(t.Context(), label, []string{filled(selector)}, time.Now().Add(-time.Minute), time.Now())
		if err := fault(warnings, err); err != nil || len(values) == 0 {
			t.Errorf("variable %s: %v, %v", v.Name, values, err)
		}
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// runbooks evaluates what a runbook tells somebody to ask, as it is, for every
// policy there is.
func (p *prometheus) runbooks(t *testing.T) {
	for file, queries := range runbookQueries(t) {
		for _, query := range queries {
			if _, err := p.instant(query); err != nil {
				t.Errorf("%s: %v of\n%s", file, err, query)
			}
		}
	}
}

func (p *prometheus) others(t *testing.T) {
	names := hostMetrics(t)
	if len(names) < 5 {
		t.Errorf("only %v were found", names)
	}
	for _, name := range names {
		if v, err := p.instant(name); err != nil || len(v) == 0 {
			t.Errorf("%s, of %s: %d series, %v", name, metricsPage, len(v), err)
		}
	}
}

// The true rules, with their true patience, against series that are made up.
func TestAlertsKeepTheirTime(t *testing.T) {
	needs(t, "PROMETHEUS_DIR")
	for _, args := range [][]string{
		{"check", "rules", alertsFile},
		{"test", "rules", "alerts.test.yaml"},
	} {
		if out, err := exec.CommandContext(t.Context(), program("promtool"), args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	cases := string(read(t, "alerts.test.yaml"))
	for _, a := range readAlerts(t) {
		if n := strings.Count(cases, `expr: 'ALERTS{alertname="`+a.Alert+`"`); n < 2 {
			t.Errorf("alerts.test.yaml asks %d times for %s; it takes two to see when it fires and when not", n, a.Alert)
		}
	}
}

func TestEveryAlertTellsWhatToDo(t *testing.T) {
	pages := map[string]bool{"README.md": true}
	for _, a := range readAlerts(t) {
		if s := a.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has severity %q", a.Alert, s)
		}
		if a.For == "" || a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s lacks a for, a summary or a description", a.Alert)
		}
		page := a.Alert + ".md"
		pages[page] = true
		if want := repository + "docs/runbooks/" + page; a.Annotations["runbook_url"] != want {
			t.Errorf("%s leads to %q, and not to %s", a.Alert, a.Annotations["runbook_url"], want)
		}
		text := string(read(t, filepath.Join(runbookFolder, page)))
		for _, section := range []string{"# " + a.Alert + "\n", "## Meaning\n", "## Impact\n", "## Diagnosis\n", "## Mitigation\n"} {
			if !strings.Contains(text, section) {
				t.Errorf("%s lacks %q", page, section)
			}
		}
	}
	files, err := os.ReadDir(runbookFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !pages[f.Name()] {
			t.Errorf("docs/runbooks/%s is about no alert", f.Name())
		}
	}
}

func TestPanelsAreDescribedAndDoNotOverlap(t *testing.T) {
	panels, _ := readDashboard(t)
	taken := map[[2]int]string{}
	for _, p := range panels {
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %q lacks a description or a query", p.Title)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if taken[at] != "" || at[0] >= 24 {
					t.Fatalf("panel %q is where %q is, or beside the page", p.Title, taken[at])
				}
				taken[at] = p.Title
			}
		}
	}
}
