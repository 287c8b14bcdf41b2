// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd holds the CustomResourceDefinitions, for programs that judge a
// manifest without an API server.
package crd

import "embed"

// Bases are the generated CRDs, below bases/.
//
//go:embed bases/*.yaml
var Bases embed.FS
