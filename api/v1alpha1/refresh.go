// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "strings"

// RefreshKeyspacesAnnotation narrows the refresh that RefreshRequestedAtAnnotation
// asks for down to some keyspaces: their names, separated by commas. Without it,
// or if it is empty, all are meant. It is read together with the token: set or
// remove it with the same request.
const RefreshKeyspacesAnnotation = "cache.keepfresh.dev/refresh-keyspaces"

// RefreshKeyspaces are the keyspaces that a refresh on demand is narrowed down
// to; nil means all.
func (p *CachePolicy) RefreshKeyspaces() []string {
	var names []string
	for name := range strings.SplitSeq(p.Annotations[RefreshKeyspacesAnnotation], ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
