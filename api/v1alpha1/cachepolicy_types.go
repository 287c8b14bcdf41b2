// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RefreshRequestedAtAnnotation asks for every key of a policy to be refreshed
// once, within the loaders' limits. Its value is a token: any string, as long
// as it differs from the last. When the refresh is done, the token is echoed in
// status.lastHandledRefreshAt.
const RefreshRequestedAtAnnotation = "cache.keepfresh.dev/refresh-requested-at"

// CachePolicy says which keys of a Redis are kept fresh, and how: it names the
// Redis, the keyspaces, and for each of them the loader that its values come
// from. Before a key expires, its value is loaded anew and written back.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=cachepolicies,singular=cachepolicy,shortName=cachepol,categories=keepfresh,scope=Namespaced
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status",description="Whether the keys are kept fresh as the spec asks."
// +kubebuilder:printcolumn:name="Fresh",type="string",JSONPath=".status.fresh",description="The share of the keys that are fresh."
// +kubebuilder:printcolumn:name="Keys",type="integer",JSONPath=".status.keys",description="How many keys are kept fresh."
// +kubebuilder:printcolumn:name="Last Refresh",type="date",JSONPath=".status.lastRefreshTime",description="When a key was last rebuilt."
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="Reason",type="string",priority=1,JSONPath=".status.conditions[?(@.type==\"Ready\")].reason",description="Why the policy is ready, or is not."
// +kubebuilder:printcolumn:name="Redis",type="string",priority=1,JSONPath=".status.redis",description="The address of the Redis."
type CachePolicy struct {
	metav1.TypeMeta `json:",inline"`

	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked for.
	// +required
	Spec CachePolicySpec `json:"spec"`

	// status is what the operator last observed. It is written at once when a
	// condition changes, and otherwise at most every 30 seconds.
	// +optional
	Status CachePolicyStatus `json:"status,omitempty"`
}

// CachePolicyList is a list of CachePolicy.
//
// +kubebuilder:object:root=true
type CachePolicyList struct {
	metav1.TypeMeta `json:",inline"`

	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []CachePolicy `json:"items"`
}

// CachePolicySpec is what is asked for: a Redis, the lifetimes, and the keyspaces.
//
// +kubebuilder:validation:XValidation:rule=`has(self.expire) || self.keyspaces.all(k, has(k.expire))`,message=`set spec.expire, or expire in every keyspace: how long a value may live has no default`
// +kubebuilder:validation:XValidation:rule=`self.redis.keyEvents != 'Off' || self.keyspaces.all(k, k.onMiss != 'Rebuild')`,message=`onMiss: Rebuild hears of misses by key events: set redis.keyEvents to Auto or Configure, or leave onMiss out`
// +kubebuilder:validation:XValidation:rule=`self.keyspaces.all(k, !has(k.loader.http.timeout) || !k.loader.http.timeout.matches(r'^([0-9]{1,5}(h|m|s|ms)){1,4}$') || !(has(k.guardTimeout) ? k.guardTimeout : self.guardTimeout).matches(r'^([0-9]{1,5}(h|m|s|ms)){1,4}$') || duration(k.loader.http.timeout) <= duration(has(k.guardTimeout) ? k.guardTimeout : self.guardTimeout))`,message=`a loader's timeout must not be longer than its keyspace's guardTimeout: lower loader.http.timeout or raise guardTimeout`
// +kubebuilder:validation:XValidation:rule=`[self.keyspaces.map(k, k.key.findAll(r'\{\{|\}\}|\{\+?[a-z]\w*\}|[^{}]+').map(t, t.startsWith('{+') ? '{+}' : t.startsWith('{') && !t.startsWith('{{') ? '{}' : t))].all(c, c.all(x, c.exists_one(y, y in [x])))`,message=`two keyspaces have the same key template but for the placeholders' names; give each keyspace keys of its own`
// +kubebuilder:validation:XValidation:rule=`self.keyspaces.all(a, !a.key.matches(r'^([^{}:]*|\{[a-z]\w*\})(:([^{}:]*|\{[a-z]\w*\}))*$') || self.keyspaces.all(b, a.name >= b.name || !b.key.matches(r'^([^{}:]*|\{[a-z]\w*\})(:([^{}:]*|\{[a-z]\w*\}))*$') || [a.key.split(':')].all(s, [b.key.split(':')].all(t, s.size() != t.size() || s.size() > 16 || [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].exists(i, i < s.size() && (s[i].startsWith('{') ? t[i] == "" : t[i].startsWith('{') ? s[i] == "" : !(s[i] in [t[i]])))))))`,message=`no key may match the key templates of two keyspaces; tell them apart by text that stands at the same place, as in product:{id} and page:{id}`
// +kubebuilder:validation:XValidation:rule=`self.keyspaces.all(a, !a.key.matches(r'^([^{}]|\{\{|\}\})*\{[a-z]\w*\}([^{}]|\{\{|\}\})*$') || self.keyspaces.all(b, a.name >= b.name || !b.key.matches(r'^([^{}]|\{\{|\}\})*\{[a-z]\w*\}([^{}]|\{\{|\}\})*$') || (a.key.matches(r'^([^{}:]*|\{[a-z]\w*\})(:([^{}:]*|\{[a-z]\w*\}))*$') && b.key.matches(r'^([^{}:]*|\{[a-z]\w*\})(:([^{}:]*|\{[a-z]\w*\}))*$')) || a.key.split(':').size() != b.key.split(':').size() || a.key.find(r'^([^{}]|\{\{|\}\})*').split(':').size() != b.key.find(r'^([^{}]|\{\{|\}\})*').split(':').size() || !(a.key.startsWith(b.key.find(r'^([^{}]|\{\{|\}\})*')) || b.key.startsWith(a.key.find(r'^([^{}]|\{\{|\}\})*'))) || !(a.key.endsWith(b.key.find(r'([^{}]|\{\{|\}\})*$')) || b.key.endsWith(a.key.find(r'([^{}]|\{\{|\}\})*$')))))`,message=`no key may match the key templates of two keyspaces; tell them apart by text that stands at the same place, as in product:{id} and page:{id}`
// +kubebuilder:validation:XValidation:rule=`self.keyspaces.all(a, !a.key.matches(r'^([^{}]|\{\{|\}\})*\{\+[a-z]\w*\}([^{}]|\{\{|\}\})*$') || self.keyspaces.all(b, a.name == b.name || b.key.size() <= a.key.find(r'^([^{}]|\{\{|\}\})*').size() + a.key.find(r'([^{}]|\{\{|\}\})*$').size() || !b.key.startsWith(a.key.find(r'^([^{}]|\{\{|\}\})*')) || !b.key.endsWith(a.key.find(r'([^{}]|\{\{|\}\})*$'))))`,message=`no key may match the key templates of two keyspaces; tell them apart by text that stands at the same place, as in product:{id} and page:{id}`
type CachePolicySpec struct {
	// redis is the server (Redis 7.0 or newer, or Valkey) whose keys are kept fresh.
	// +required
	Redis Redis `json:"redis"`

	// expire is the time to live that a rebuild gives a key, such as 90s, 5m or
	// 1h30m: 1s to 720h (30 days). It is the default of all keyspaces. A
	// keyspace for which neither is set is refused.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([0-9]{1,5}(h|m|s|ms)){1,4}$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')`,message=`write an expire of 1s to 720h, such as 90s, 5m or 24h; the units are h, m, s and ms`
	Expire *Duration `json:"expire,omitempty"`

	// refreshRatio is the share of its lifetime after which a key is due for a
	// refresh, counted from when it was written: with an expire of 100s, 62%
	// refreshes a key that is 62s old and has 38s left. A whole percentage from
	// 1% to 99%. It is the default of all keyspaces.
	// +optional
	// +kubebuilder:default="62%"
	// +kubebuilder:validation:MaxLength=16
	RefreshRatio Percentage `json:"refreshRatio,omitempty"`

	// guardTimeout is the longest that a rebuild may hold a key's guard (its
	// rebuild lock), and so the longest that another rebuilder waits for it:
	// 100ms to 5m. The guard itself is leased for about 2s at a time, so that a
	// dead holder blocks a key for no longer than that. It should be less than
	// what is left of a key's lifetime when it becomes due (expire x (100% -
	// refreshRatio)); the condition Warning says where it is not. It is the
	// default of all keyspaces.
	// +optional
	// +kubebuilder:default="6s"
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([0-9]{1,5}(h|m|s|ms)){1,4}$') && duration(self) >= duration('100ms') && duration(self) <= duration('5m')`,message=`write a guardTimeout of 100ms to 5m, such as 6s; the units are h, m, s and ms`
	GuardTimeout *Duration `json:"guardTimeout,omitempty"`

	// suspend stops all work on the policy's keys, without deleting any: they
	// expire as they would without a policy.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// keyspaces are the families of keys that are kept fresh, 1 to 32. No two of
	// them may claim the same key.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Keyspaces []Keyspace `json:"keyspaces"`
}

// Percentage is a whole percentage such as 62%, from 1% to 99%.
//
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[1-9][0-9]?%$')`,message=`write a whole percentage from 1% to 99%, such as 62%`
type Percentage string
