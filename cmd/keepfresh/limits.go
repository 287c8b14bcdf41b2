// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/keepfresh/keepfresh/controllers"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

// tenantOptions bound what the policies of one namespace may do.
type tenantOptions struct {
	policies controllers.Limits
	engine   refresher.Limits
	secrets  labels.Selector // all, if nil
}

// largestBody is the greatest maxBodyBytes that a policy may have.
const largestBody = 64 << 20

func (o *tenantOptions) bind(flags *flag.FlagSet) {
	flags.IntVar(&o.policies.Policies, "max-policies-per-namespace", 100, "How many policies of a namespace come into force, the oldest first; 0 for no limit.")
	flags.IntVar(&o.policies.Keyspaces, "max-keyspaces-per-namespace", 500, "How many keyspaces the policies of a namespace may have that come into force; 0 for no limit.")
	flags.Int64Var(&o.engine.Keys, "max-keys-per-namespace", 4_000_000, "How many keys of a namespace's policies are kept fresh. A million take some 50 MB. 0 for no limit.")
	flags.IntVar(&o.engine.Loads, "max-loads-per-namespace", 1000, "How many calls to loaders a namespace's policies may have running at once; others wait for their turn. 0 for no limit.")
	flags.Int64Var(&o.engine.BodyBytes, "max-body-bytes-per-namespace", 128<<20, "How many bytes of answers larger than 64 KiB may be held at once for a namespace's policies, at least 67108864 (64 MiB, the largest answer); others wait. 0 for no limit.")
	flags.Func("secret-selector", "Labels of the Secrets that policies may use, such as keepfresh.dev/use=true; all of their namespace if not given.", func(text string) (err error) {
		o.secrets, err = labels.Parse(text)
		if err == nil && o.secrets.Empty() {
			o.secrets = nil
		}
		return err
	})
}

// check refuses limits that make no sense.
func (o *tenantOptions) check() error {
	for _, limit := range []struct {
		what string
		is   int64
	}{
		{"policies", int64(o.policies.Policies)}, {"keyspaces", int64(o.policies.Keyspaces)}, {"keys", o.engine.Keys},
		{"loads", int64(o.engine.Loads)}, {"body-bytes", o.engine.BodyBytes},
	} {
		if limit.is < 0 {
			return fmt.Errorf("--max-%s-per-namespace=%d is negative: write 0 for no limit", limit.what, limit.is)
		}
	}
	if b := o.engine.BodyBytes; b > 0 && b < largestBody {
		return fmt.Errorf("--max-body-bytes-per-namespace=%d is less than one answer may have: write %d or more, or 0 for no limit", b, largestBody)
	}
	return nil
}
