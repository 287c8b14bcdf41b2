// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/config/crd"
	"github.com/keepfresh/keepfresh/internal/plugin/admission"
	"github.com/keepfresh/keepfresh/internal/plugin/manifest"
	"github.com/keepfresh/keepfresh/internal/plugin/screen"
	"github.com/keepfresh/keepfresh/internal/review"
)

func (p *plugin) lint() *cobra.Command {
	var names []string
	var recursive, quiet bool
	cmd := &cobra.Command{
		Use:   "lint -f FILE...",
		Short: "Check manifests as the API server would, without one",
		Long: `Check manifests as the API server would, but without one: against the schema and the
rules of the CRD that came with this plugin, with the messages that the API server
would give; and then for what only the operator would find. Objects of other kinds
are skipped.

Exit code 0 means that there is no error (there may be warnings), 1 that there is
one, 2 that the command line is wrong.`,
		Example: `  kubectl cachepolicy lint -f policy.yaml
  kubectl cachepolicy lint -f deploy/ --recursive
  helm template shop ./chart | kubectl cachepolicy lint -f -`,
		Args: func(_ *cobra.Command, args []string) error {
			names = append(names, args...) // as a shell expands -f *.yaml
			if len(names) == 0 {
				return usage("name the files to check by -f; - means the standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			palette, err := screen.NewPalette(p.color, p.Out)
			if err != nil {
				return &exitError{ExitUsage, err}
			}
			rules, err := admission.Load(crd.Bases, "bases/*.yaml")
			if err != nil {
				return fmt.Errorf("read the CRDs in this program: %w", err)
			}
			l := &linter{plugin: p, Palette: palette, rules: rules, quiet: quiet}
			return l.run(cmd.Context(), names, recursive)
		},
	}
	cmd.Flags().StringSliceVarP(&names, "filename", "f", nil, "Files or folders to check; - is the standard input.")
	cmd.Flags().BoolVarP(&recursive, "recursive", "R", false, "Check the folders in a folder, too.")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Print errors and warnings only.")
	return cmd
}

// linter checks manifests, and counts what it finds.
type linter struct {
	*plugin
	screen.Palette
	rules *admission.Rules
	quiet bool

	checked, refused, warnings, skipped int
}

func (l *linter) run(ctx context.Context, names []string, recursive bool) error {
	var files []string
	for _, name := range names {
		found, err := manifest.Find(name, recursive)
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	for _, file := range files {
		documents, err := manifest.Read(file, l.In)
		if err != nil {
			return err
		}
		for _, d := range documents {
			l.document(ctx, d)
		}
	}
	if !l.quiet {
		l.say("%d checked, %d refused, %d %s, %d of other kinds skipped", l.checked, l.refused, l.warnings, plural(l.warnings, "warning"), l.skipped)
	}
	if l.refused > 0 {
		return &exitError{code: ExitError}
	}
	return nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// document checks one document, and prints a line for each finding.
func (l *linter) document(ctx context.Context, d manifest.Document) {
	if d.Err != nil {
		l.checked++
		l.refused++
		l.say("%s: %s %v", d.Position(""), l.Bad("error:"), d.Err)
		return
	}
	kind := d.Object.GroupVersionKind()
	what := d.Object.GetKind() + " " + nameOf(d)
	if !l.rules.Knows(kind) && !l.rules.KnowsGroup(kind.Group) {
		l.skipped++
		if !l.quiet {
			l.say("%s: %s skipped: no rules for %s", d.Position(""), what, kind.GroupVersion())
		}
		return
	}
	l.checked++
	findings := l.check(ctx, d)
	slices.SortFunc(findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.message, b.message))
	})
	errs := 0
	for _, f := range findings {
		mark := l.Bad("error:")
		if f.warning {
			mark = l.Warn("warning:")
			l.warnings++
		} else {
			errs++
		}
		l.say("%s: %s: %s %s", d.At(f.line), what, mark, f.message)
	}
	switch {
	case errs > 0:
		l.refused++
	case len(findings) == 0 && !l.quiet:
		l.say("%s: %s: %s", d.Position(""), what, l.Good("ok"))
	}
}

func nameOf(d manifest.Document) string {
	name := d.Object.GetName()
	if name == "" {
		name = d.Object.GetGenerateName() + "*"
	}
	if ns := d.Object.GetNamespace(); ns != "" {
		name = ns + "/" + name
	}
	return name
}

// finding is what is to be said about a line.
type finding struct {
	line    int
	warning bool
	message string
}

func (l *linter) check(ctx context.Context, d manifest.Document) (out []finding) {
	kind := d.Object.GroupVersionKind()
	if !l.rules.Knows(kind) {
		return []finding{{line: d.Line("kind"), message: fmt.Sprintf("there is no kind %s in version %s", kind.Kind, kind.GroupVersion())}}
	}
	verdict, err := l.rules.Check(ctx, d.Object)
	if err != nil {
		return []finding{{line: d.Line("metadata"), message: err.Error()}}
	}
	for _, field := range verdict.Unknown {
		out = append(out, finding{line: d.Line(field), message: fmt.Sprintf("unknown field %q", field)})
	}
	for _, e := range verdict.Invalid {
		out = append(out, finding{line: d.Line(e.Field), message: e.Error()})
	}
	if len(verdict.Invalid) > 0 || kind.Kind != "CachePolicy" {
		return out
	}
	policy := &cachev1alpha1.CachePolicy{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(verdict.Object.Object, policy); err != nil {
		return append(out, finding{line: d.Line("spec"), message: errors.Unwrap(err).Error()})
	}
	for _, f := range slices.Concat(review.Conflicts(policy), review.Strays(policy)) {
		out = append(out, finding{line: d.Line(fmt.Sprintf("spec.keyspaces[%d].key", f.Keyspace)), message: f.Message})
	}
	for _, f := range review.TightGuards(policy) {
		out = append(out, finding{line: d.Line(fmt.Sprintf("spec.keyspaces[%d].guardTimeout", f.Keyspace)), warning: true,
			message: f.Message + ". " + review.TightGuardsRemedy})
	}
	return out
}
