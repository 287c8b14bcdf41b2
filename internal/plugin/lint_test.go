// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What the libraries log is in the errors, too, and is not what is tested.
func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// result is what a run of the plugin came to.
type result struct {
	code     int
	out, err string
}

// run runs the plugin. The standard input holds stdin.
func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	code := Run(t.Context(), args, genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &out, ErrOut: &errOut})
	return result{code, out.String(), errOut.String()}
}

// golden compares a text with the one in a file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew); got\n%s", path, got)
	}
}

func TestLintNamesTheLineOfEachMistake(t *testing.T) {
	r := run(t, "", "lint", "-f", "testdata/lint/refused.yaml")
	if r.code != ExitError || r.err != "" {
		t.Errorf("exit code %d; %s", r.code, r.err)
	}
	golden(t, "lint.txt", r.out)
}

func TestLintTakesTheSamples(t *testing.T) {
	for _, args := range [][]string{
		{"lint", "-f", "../../config/samples"},
		{"lint", "-f", "../../config/samples/catalog.yaml,../../config/samples/minimal.yaml"},
		{"lint", "-f", "../../config/samples/catalog.yaml", "../../config/samples/minimal.yaml"},
		{"lint", "-R", "--filename", "../../config/samples"},
	} {
		r := run(t, "", args...)
		if r.code != ExitOK || !strings.Contains(r.out, "2 checked, 0 refused, 0 warnings") || r.err != "" {
			t.Errorf("%v: exit code %d\n%s%s", args, r.code, r.out, r.err)
		}
	}
	if r := run(t, "", "lint", "-q", "-f", "../../config/samples"); r.code != ExitOK || r.out != "" {
		t.Errorf("quiet: exit code %d, %q", r.code, r.out)
	}
}

func TestLintReadsTheStandardInput(t *testing.T) {
	text, err := os.ReadFile("../../config/samples/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, string(text), "lint", "-f", "-"); r.code != ExitOK || !strings.HasPrefix(r.out, "stdin:") {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := run(t, strings.Replace(string(text), "expire:", "expires:", 1), "lint", "-f", "-"); r.code != ExitError || !strings.Contains(r.out, `unknown field "spec.expires"`) {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

func TestWrongCommandLinesAreTold(t *testing.T) {
	for line, want := range map[string]result{
		"lint":                         {ExitUsage, "", "error: name the files to check by -f; - means the standard input\nSee 'kubectl cachepolicy lint --help' for usage.\n"},
		"lint -f none.yaml":            {ExitError, "", "error: the path \"none.yaml\" cannot be read: no such file or directory\n"},
		"statu":                        {ExitUsage, "", "error: unknown command \"statu\"; did you mean status?\nSee 'kubectl cachepolicy --help' for usage.\n"},
		"status":                       {ExitUsage, "", "error: NAME is missing\nSee 'kubectl cachepolicy status --help' for usage.\n"},
		"status a b":                   {ExitUsage, "", "error: \"b\" is one argument too many: only NAME is taken\nSee 'kubectl cachepolicy status --help' for usage.\n"},
		"status a -o xml":              {ExitUsage, "", "error: -o is \"xml\"; it takes json or yaml\nSee 'kubectl cachepolicy status --help' for usage.\n"},
		"status a -w -o json":          {ExitUsage, "", "error: --watch draws text; use it without -o\nSee 'kubectl cachepolicy status --help' for usage.\n"},
		"status a --color pink":        {ExitUsage, "", "error: --color is \"pink\"; it takes auto, always, never\nSee 'kubectl cachepolicy status --help' for usage.\n"},
		"top x":                        {ExitUsage, "", "error: \"x\" is one argument too many: none is taken\nSee 'kubectl cachepolicy top --help' for usage.\n"},
		"explain a":                    {ExitUsage, "", "error: KEY is missing\nSee 'kubectl cachepolicy explain --help' for usage.\n"},
		"explain a b --timeout 0":      {ExitUsage, "", "error: --timeout is 0s; it takes a duration such as 10s\nSee 'kubectl cachepolicy explain --help' for usage.\n"},
		"refresh a --timeout -1s":      {ExitUsage, "", "error: --timeout is -1s; it takes a duration such as 90s, or 0 for no limit\nSee 'kubectl cachepolicy refresh --help' for usage.\n"},
		"status a --kubeconfig ./none": {ExitError, "", "error: stat ./none: no such file or directory\n"},
	} {
		if got := run(t, "", strings.Fields(line)...); got != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", line, got, want)
		}
	}
}

func TestHelpIsForKubectl(t *testing.T) {
	r := run(t, "", "status", "--help")
	if r.code != ExitOK || !strings.Contains(r.out, "kubectl cachepolicy status NAME") || strings.Contains(r.out, "kubectl-cachepolicy") {
		t.Errorf("exit code %d\n%s", r.code, r.out)
	}
	if r := run(t, "", "completion", "bash"); r.code != ExitOK || !strings.Contains(r.out, "__complete") {
		t.Errorf("completion: exit code %d", r.code)
	}
}
