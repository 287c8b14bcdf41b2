// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"

	. "github.com/onsi/gomega"
)

// pluginCommands runs each command once as a user would, against the cluster.
func pluginCommands(ctx context.Context) {
	plug := func(args ...string) string { return run(ctx, plugin, append(args, "--namespace", shopSpace)...) }

	Expect(plug("status", "catalog")).To(And(ContainSubstring("catalog"), ContainSubstring("products"), ContainSubstring("KeepingFresh")))
	Expect(plug("top", "--once")).To(ContainSubstring("catalog"))
	Expect(plug("refresh", "catalog")).NotTo(BeEmpty())
	Expect(plug("explain", "catalog", "product:7")).To(And(ContainSubstring("products"), ContainSubstring("http://loader.shop.svc:8080/products/7")))
	Expect(plug("version")).NotTo(BeEmpty())

	plug("suspend", "catalog")
	Expect(catalog(ctx).Spec.Suspend).To(BeTrue())
	plug("resume", "catalog")
	Expect(catalog(ctx).Spec.Suspend).To(BeFalse())

	out, err := try(ctx, plugin, "status", "nothing", "--namespace", shopSpace)
	Expect(err).To(HaveOccurred())
	Expect(out).To(ContainSubstring("not found"))
}
