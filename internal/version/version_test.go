// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package version

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestDescribe(t *testing.T) {
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs.revision", Value: "5082b66"}, {Key: "vcs.modified", Value: modified}}
	}
	for what, try := range map[string]struct {
		stamped           string
		build             *debug.BuildInfo
		version, revision string
	}{
		"a release that the linker stamped": {"v1.2.3", &debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-2026"}, Settings: vcs("false")}, "v1.2.3", "5082b66"},
		"what go install got from a proxy":  {"", &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3", ""},
		"a checkout with changes":           {"", &debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-2026+dirty"}, Settings: vcs("true")}, "v0.0.0-2026+dirty", "5082b66-dirty"},
		"go build -buildvcs=false":          {"", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "unknown", ""},
		"a program without Go's build info": {"", nil, "unknown", ""},
	} {
		if i := describe(try.stamped, try.build); i.Version != try.version || i.Revision != try.revision {
			t.Errorf("%s: %+v", what, i)
		}
	}
}

func TestCollector(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(Get().Collector())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 1 || families[0].GetName() != "keepfresh_build_info" || families[0].GetMetric()[0].GetGauge().GetValue() != 1 {
		t.Errorf("%v", families)
	}
}

// TestTheOperatorIsStamped builds as make image and the Dockerfile do.
func TestTheOperatorIsStamped(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "keepfresh")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-X github.com/keepfresh/keepfresh/internal/version.stamped=v9.8.7", "-o", binary, "../../cmd/keepfresh")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), binary, "--version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "keepfresh v9.8.7 (") {
		t.Errorf("%v: %s", err, out)
	}
}
