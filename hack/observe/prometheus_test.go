// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// In the test, all that an alert waits for takes seconds.
const (
	shortWindow = "10s"
	shortFor    = "2s"
)

const prometheusConfig = `
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
- job_name: keepfresh
  honor_labels: true
  static_configs: [{targets: [%q, %q]}]
`

// prometheus is a running Prometheus.
type prometheus struct {
	promv1.API
	t *testing.T
}

// observe starts a Prometheus that scrapes the operators.
func (w *world) observe() *prometheus {
	w.t.Helper()
	rules, config := filepath.Join(w.dir, "alerts.yaml"), filepath.Join(w.dir, "prometheus.yaml")
	for path, text := range map[string][]byte{
		rules:  hasty(read(w.t, alertsFile)),
		config: fmt.Appendf(nil, prometheusConfig, rules, w.metrics[0], w.metrics[1]),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	addr := freeAddr(w.t)
	start(w.t, filepath.Join(w.dir, "prometheus.log"), program("prometheus"),
		"--config.file="+config, "--storage.tsdb.path="+filepath.Join(w.dir, "tsdb"), "--web.listen-address="+addr, "--log.level=warn")
	eventually(w.t, "Prometheus is ready", 30*time.Second, func() error { return answers(w.t.Context(), "http://"+addr+"/-/ready") })
	client, err := api.NewClient(api.Config{Address: "http://" + addr})
	if err != nil {
		w.t.Fatal(err)
	}
	return &prometheus{promv1.NewAPI(client), w.t}
}

func program(name string) string { return filepath.Join(os.Getenv("PROMETHEUS_DIR"), name) }

// fault makes warnings an error.
func fault(warnings promv1.Warnings, err error) error {
	if err == nil && len(warnings) > 0 {
		err = fmt.Errorf("warnings: %v", warnings)
	}
	return err
}

// instant evaluates an expression now.
func (p *prometheus) instant(expr string) (model.Vector, error) {
	value, warnings, _, err := p.Query(p.t.Context(), expr, time.Now())
	if err := fault(warnings, err); err != nil {
		return nil, err
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("a %s, not a vector", value.Type())
	}
	return vector, nil
}

// shown evaluates an expression as Grafana would, for a minute up to now, or for
// its end only, and counts the values.
func (p *prometheus) shown(expr string, end bool) (numbers int, err error) {
	now := time.Now()
	if end {
		vector, err := p.instant(expr)
		for _, s := range vector {
			numbers += number(s.Value)
		}
		return numbers, err
	}
	value, warnings, _, err := p.QueryRange(p.t.Context(), expr, promv1.Range{Start: now.Add(-time.Minute), End: now, Step: 2 * time.Second})
	if err := fault(warnings, err); err != nil {
		return 0, err
	}
	for _, series := range value.(model.Matrix) {
		for _, s := range series.Values {
			numbers += number(s.Value)
		}
	}
	return numbers, nil
}

func number(v model.SampleValue) int {
	if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
		return 0
	}
	return 1
}

// firing says which alerts fire, as name/policy, sorted.
func (p *prometheus) firing() []string {
	p.t.Helper()
	vector, err := p.instant(`ALERTS{alertstate="firing"}`)
	if err != nil {
		p.t.Fatal(err)
	}
	return named(vector)
}

// fired says which alerts fired since then, as name/policy, sorted.
func (p *prometheus) fired(since time.Time) []string {
	p.t.Helper()
	vector, err := p.instant(fmt.Sprintf(`last_over_time(ALERTS{alertstate="firing"}[%ds])`, int(time.Since(since).Seconds())+1))
	if err != nil {
		p.t.Fatal(err)
	}
	return named(vector)
}

func named(alerts model.Vector) (names []string) {
	for _, a := range alerts {
		names = append(names, strings.TrimSuffix(fmt.Sprintf("%s/%s", a.Metric["alertname"], a.Metric["policy"]), "/"))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// lacking says which of the wanted alerts do not fire.
func (p *prometheus) lacking(wanted ...string) error {
	p.t.Helper()
	firing := p.firing()
	for _, name := range wanted {
		if !slices.Contains(firing, name) {
			return fmt.Errorf("%s does not fire, but %v", name, firing)
		}
	}
	return nil
}
