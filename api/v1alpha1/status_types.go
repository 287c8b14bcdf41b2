// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CachePolicyStatus is what the operator last observed. Conditions are written
// at once when they change, numbers at most every 30 seconds.
type CachePolicyStatus struct {
	// observedGeneration is the generation of the spec that the status speaks of.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions of the policy. Ready is the summary; Reconciling, Stalled and
	// Warning exist only while they are True.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// keys is how many keys are kept fresh, missing ones included.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Keys *int64 `json:"keys,omitempty"`

	// fresh is the share of the keys that are fresh, rounded down to a tenth of
	// a percent, such as 99.9%: 100% means all of them.
	// +optional
	// +kubebuilder:validation:MaxLength=6
	// +kubebuilder:validation:Pattern=`^(100|[0-9]{1,2}([.][0-9])?)%$`
	Fresh string `json:"fresh,omitempty"`

	// stale is how many keys exist but are past their refresh ratio.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Stale *int64 `json:"stale,omitempty"`

	// missing is how many keys should exist and do not.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Missing *int64 `json:"missing,omitempty"`

	// lastRefreshTime is when a key was last rebuilt.
	// +optional
	LastRefreshTime *metav1.Time `json:"lastRefreshTime,omitempty"`

	// lastHandledRefreshAt is the last token of the annotation
	// cache.keepfresh.dev/refresh-requested-at for which every key has been
	// loaded once. A load that failed counts too: lastFailure tells of it.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	LastHandledRefreshAt string `json:"lastHandledRefreshAt,omitempty"`

	// lastMeasureTime is when the numbers in this status were taken.
	// +optional
	LastMeasureTime *metav1.Time `json:"lastMeasureTime,omitempty"`

	// redis is the address of the Redis that the spec names.
	// +optional
	// +kubebuilder:validation:MaxLength=261
	Redis string `json:"redis,omitempty"`

	// keyspaces is what was observed of each keyspace.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Keyspaces []KeyspaceStatus `json:"keyspaces,omitempty"`
}

// KeyspaceStatus is what was observed of one keyspace.
type KeyspaceStatus struct {
	// name of the keyspace.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// keys is how many keys are kept fresh, missing ones included.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Keys int64 `json:"keys"`

	// fresh is the share of the keys that are fresh, rounded down to a tenth of
	// a percent, such as 99.9%: 100% means all of them.
	// +optional
	// +kubebuilder:validation:MaxLength=6
	// +kubebuilder:validation:Pattern=`^(100|[0-9]{1,2}([.][0-9])?)%$`
	Fresh string `json:"fresh,omitempty"`

	// stale is how many keys exist but are past their refresh ratio.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Stale int64 `json:"stale"`

	// missing is how many keys should exist and do not.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Missing int64 `json:"missing"`

	// ignored is how many keys match the template but are left alone, because
	// they do not hold a string or have no expiry.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Ignored int64 `json:"ignored"`

	// requiredLoadsPerSecond is how many keys have to be loaded per second for
	// all of them to stay fresh, such as 1600 or 0.27: keys / (refreshRatio x expire).
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]+([.][0-9]{1,2})?$`
	RequiredLoadsPerSecond string `json:"requiredLoadsPerSecond,omitempty"`

	// achievedLoadsPerSecond is how many were loaded per second, over the last
	// minute or so. Fewer than required are enough where an application writes
	// keys itself.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]+([.][0-9]{1,2})?$`
	AchievedLoadsPerSecond string `json:"achievedLoadsPerSecond,omitempty"`

	// lastRefreshTime is when a key was last rebuilt.
	// +optional
	LastRefreshTime *metav1.Time `json:"lastRefreshTime,omitempty"`

	// oldestLoadTime is when the oldest of the values now in Redis was loaded.
	// +optional
	OldestLoadTime *metav1.Time `json:"oldestLoadTime,omitempty"`

	// lastFailure is the last rebuild that failed. It stays until the next one.
	// +optional
	LastFailure *Failure `json:"lastFailure,omitempty"`
}

// Failure is a rebuild that failed.
type Failure struct {
	// time of the failure.
	// +required
	Time metav1.Time `json:"time"`

	// reason of the failure, one word in CamelCase, such as Timeout.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Z][A-Za-z0-9]*$`
	Reason string `json:"reason"`

	// message says what happened to which key. It holds no secret and nothing of
	// an answer's body.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
