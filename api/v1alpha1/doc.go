// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the contract between the people who run a Redis cache
// and the operator that keeps it fresh: API group cache.keepfresh.dev, kind
// CachePolicy.
//
// It holds the types, their defaults and bounds, the validation that the API
// server itself can decide (schema and CEL, no webhook), and the names of the
// conditions and reasons that the operator reports. What a field means when it
// is left out or overridden is computed in effective.go and nowhere else.
//
// The package imports apimachinery only, so that a program which wants to write
// or read a CachePolicy takes on no more than that.
//
// +kubebuilder:object:generate=true
// +groupName=cache.keepfresh.dev
package v1alpha1
