// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plugin is kubectl cachepolicy: it shows CachePolicies, asks for things
// to be done with them, and checks manifests. It does nothing that kubectl and a
// reader of the docs could not do; whoever uses it needs the same rights.
package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/keepfresh/keepfresh/internal/plugin/report"
	"github.com/keepfresh/keepfresh/internal/plugin/screen"
)

// Exit codes.
const (
	ExitOK          = 0
	ExitError       = 1 // something failed, or a manifest is refused
	ExitUsage       = 2 // the command line is wrong
	ExitNotReady    = 3 // status: the policy is not Ready
	ExitInterrupted = 130
)

// exitError ends the program with a code, and says nothing if there is no error.
type exitError struct {
	code int
	err  error
}

// Error is what is printed.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap is the cause.
func (e *exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exitError{ExitUsage, fmt.Errorf(format, args...)}
}

// Run runs the plugin with arguments, and returns its exit code.
func Run(ctx context.Context, args []string, streams genericiooptions.IOStreams) int {
	root := New(streams)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{ExitError, err}
	}
	if exit.err != nil {
		_, _ = fmt.Fprintln(streams.ErrOut, "error:", strings.TrimPrefix(explain(exit.err).Error(), "error: "))
	}
	if exit.code == ExitUsage {
		_, _ = fmt.Fprintf(streams.ErrOut, "See '%s --help' for usage.\n", commandOf(root, args))
	}
	return exit.code
}

// commandOf is the command that the arguments name, as one would type it.
func commandOf(root *cobra.Command, args []string) string {
	if command, _, err := root.Find(args); err == nil {
		return command.CommandPath()
	}
	return root.CommandPath()
}

// plugin is what the commands share.
type plugin struct {
	genericiooptions.IOStreams
	flags *genericclioptions.ConfigFlags
	color string
	now   func() time.Time
}

// New makes the command with all those below it.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	p := &plugin{IOStreams: streams, flags: genericclioptions.NewConfigFlags(true), now: time.Now}
	root := &cobra.Command{
		Use:   "kubectl-cachepolicy",
		Short: "See and steer the CachePolicies by which Keepfresh keeps Redis fresh",
		Long: `See and steer the CachePolicies by which Keepfresh keeps Redis fresh.

Exit codes: 0 done; 1 something failed, or lint refused a manifest; 2 the command
line is wrong; 3 status: the policy is not Ready; 130 interrupted.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl cachepolicy"},
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usage("unknown command %q%s", args[0], suggest(cmd, args[0]))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{ExitUsage, err} })
	p.flags.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&p.color, "color", "auto", "Colours: "+strings.Join(screen.Modes, ", ")+". In mode auto, NO_COLOR turns them off.")
	_ = root.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(screen.Modes, cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("namespace", p.completeNamespaces)
	root.AddCommand(p.status(), p.top(), p.refresh(), p.suspend(), p.resume(), p.explain(), p.lint(), p.version())
	root.InitDefaultCompletionCmd()
	return root
}

func suggest(cmd *cobra.Command, name string) string {
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if like := cmd.SuggestionsFor(name); len(like) > 0 {
		return fmt.Sprintf("; did you mean %s?", strings.Join(like, " or "))
	}
	return ""
}

// exactly wants so many arguments, by their names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("%s is missing", strings.Join(names[len(args):], " and "))
		case len(args) > len(names) && len(names) == 0:
			return usage("%q is one argument too many: none is taken", args[0])
		case len(args) > len(names):
			return usage("%q is one argument too many: only %s is taken", args[len(names)], strings.Join(names, " and "))
		}
		return nil
	}
}

// view is how reports are written on the plugin's output.
func (p *plugin) view() (report.View, error) {
	palette, err := screen.NewPalette(p.color, p.Out)
	if err != nil {
		return report.View{}, &exitError{ExitUsage, err}
	}
	return report.View{Palette: palette, Now: p.now()}, nil
}

// interrupted says that the user, and not a timeout, ended a context.
func interrupted(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

func (p *plugin) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.Out, format+"\n", args...)
}

func (p *plugin) note(format string, args ...any) {
	_, _ = fmt.Fprintf(p.ErrOut, format+"\n", args...)
}
