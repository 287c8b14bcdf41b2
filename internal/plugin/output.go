// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// output is the flag -o.
type output struct{ format string }

var formats = []string{"json", "yaml"}

func (o *output) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "", "Print "+strings.Join(formats, " or ")+" instead of text.")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

func (o *output) check() error {
	if o.format != "" && !slices.Contains(formats, o.format) {
		return usage("-o is %q; it takes %s", o.format, strings.Join(formats, " or "))
	}
	return nil
}

// print writes a value in the format that was asked for, or else as text.
func (o *output) print(p *plugin, value any, text func() string) error {
	var encoded []byte
	var err error
	switch o.format {
	case "json":
		encoded, err = json.MarshalIndent(value, "", "  ")
		encoded = append(encoded, '\n')
	case "yaml":
		encoded, err = yaml.Marshal(value)
	default:
		encoded = []byte(text())
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(p.Out, string(encoded))
	return err
}
