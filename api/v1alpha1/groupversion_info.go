// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of this package's types.
	GroupVersion = schema.GroupVersion{Group: "cache.keepfresh.dev", Version: "v1alpha1"}

	// SchemeBuilder collects the functions that make this package's types known
	// to a scheme.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme makes this package's types known to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &CachePolicy{}, &CachePolicyList{}, &KeyExplanation{}, &KeyExplanationList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
