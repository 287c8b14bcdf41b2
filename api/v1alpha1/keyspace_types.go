// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Keyspace is a family of Redis keys that share a template, a loader and a
// lifetime. Only keys that hold a string are kept fresh.
type Keyspace struct {
	// name of the keyspace, unique in the policy: a DNS label. It appears in
	// status, events and metrics.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// key is the template that the keyspace's keys match, such as
	// product:{id}. {name} matches one or more characters other than a colon,
	// {+name} one or more of any; a name is a small letter followed by letters,
	// digits and underscores, and may be used in the loader's url. {{ and }}
	// stand for a brace: user:{{{id}}}:p matches user:{42}:p. No placeholder may
	// be named key or appear twice, and two may not stand side by side. Keys
	// that begin with keepfresh: are the operator's own and never match.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Key string `json:"key"`

	// source says which of the keys that match are kept fresh: by default those
	// that exist.
	// +optional
	// +default={"existing":{}}
	Source *Source `json:"source,omitempty"`

	// loader is where the values come from.
	// +required
	Loader Loader `json:"loader"`

	// onNotFound says what becomes of a key when the loader answers that there
	// is no such value (HTTP 404 or 410): Delete deletes it from Redis, Keep
	// leaves it to expire.
	// +optional
	// +kubebuilder:default=Delete
	OnNotFound OnNotFound `json:"onNotFound,omitempty"`

	// expire overrides the policy's expire for this keyspace: 1s to 720h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=28
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(h|m|s|ms)){1,4}$`
	Expire *metav1.Duration `json:"expire,omitempty"`

	// refreshRatio overrides the policy's refreshRatio for this keyspace: 1% to 99%.
	// +optional
	// +kubebuilder:validation:MaxLength=3
	RefreshRatio Percentage `json:"refreshRatio,omitempty"`

	// guardTimeout overrides the policy's guardTimeout for this keyspace: 100ms to 5m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=28
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(h|m|s|ms)){1,4}$`
	GuardTimeout *metav1.Duration `json:"guardTimeout,omitempty"`
}

// Source says which keys are kept fresh. Exactly one of its fields is set.
type Source struct {
	// existing keeps fresh whatever the application has put into Redis:
	// refresh-ahead. A key that has been deleted or has expired is forgotten.
	// +optional
	Existing *ExistingSource `json:"existing,omitempty"`

	// keys are always kept, and filled when they are missing. Each must match
	// the keyspace's template. Other keys that match are left alone. At most
	// 1000 keys, of at most 256 characters each.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Keys []string `json:"keys,omitempty"`
}

// ExistingSource selects the keys that exist in Redis and match the template.
type ExistingSource struct{}

// OnNotFound says what becomes of a key that the loader does not know.
//
// +kubebuilder:validation:Enum=Delete;Keep
type OnNotFound string

const (
	// OnNotFoundDelete deletes the key from Redis.
	OnNotFoundDelete OnNotFound = "Delete"
	// OnNotFoundKeep leaves the key as it is, to expire.
	OnNotFoundKeep OnNotFound = "Keep"
)

// Loader is where a keyspace's values come from, and how much may be asked of it.
type Loader struct {
	// http loads a value by a GET request.
	// +required
	HTTP *HTTPLoader `json:"http,omitempty"`

	// maxConcurrent is how many loads of this keyspace may run at once, 1 to 1000.
	// +optional
	// +kubebuilder:default=6
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxConcurrent int32 `json:"maxConcurrent,omitempty"`

	// maxPerSecond is how many loads of this keyspace may begin in a second, 1
	// to 100000. Without it, only maxConcurrent limits them.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaxPerSecond *int32 `json:"maxPerSecond,omitempty"`
}

// HTTPLoader loads a key's value by a GET request. A 2xx answer's body is the
// value; 404 and 410 mean that there is none; all else, redirects included, is
// a failure.
type HTTPLoader struct {
	// url is the template of the address to get, http or https. {name} stands
	// for what the key's placeholder of that name matched, percent-encoded;
	// {+name} for the same with reserved characters as they are (RFC 6570,
	// levels 1 and 2); {key} and {+key} for the whole key. A placeholder may not
	// stand in the host.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=1024
	URL string `json:"url"`

	// timeout of one load, from dialling to the last byte of the body: 10ms to
	// 5m, and no more than the guardTimeout. Without it, the lesser of 5s and the
	// guardTimeout.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=28
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(h|m|s|ms)){1,4}$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// headers of each request, at most 16.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Headers []HTTPHeader `json:"headers,omitempty"`

	// maxBodyBytes is the largest body that is accepted as a value, in bytes: 1
	// to 67108864 (64MiB). A larger one is a failure, and nothing is written.
	// +optional
	// +kubebuilder:default=1048576
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=67108864
	MaxBodyBytes int64 `json:"maxBodyBytes,omitempty"`
}

// HTTPHeader is a header of a request. Exactly one of value and valueFrom is set.
type HTTPHeader struct {
	// name of the header. Those that the connection itself decides, such as Host
	// and Content-Length, are refused.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`

	// value of the header, readable by whoever can read the policy. For
	// credentials use valueFrom.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Value *string `json:"value,omitempty"`

	// valueFrom takes the value from elsewhere.
	// +optional
	ValueFrom *HTTPHeaderSource `json:"valueFrom,omitempty"`
}

// HTTPHeaderSource is where a header's value comes from.
type HTTPHeaderSource struct {
	// secretKeyRef selects a key of a Secret in the policy's namespace.
	// +required
	SecretKeyRef *SecretKeyReference `json:"secretKeyRef,omitempty"`
}
