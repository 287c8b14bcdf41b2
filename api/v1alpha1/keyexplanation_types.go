// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KeyExplanation is a question to the operator: what does it know of one Redis
// key? Whoever may create one in a policy's namespace may ask. The operator
// answers once, in the status, and deletes the object some five minutes later,
// if nobody else has.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=keyexplanations,singular=keyexplanation,scope=Namespaced
// +kubebuilder:printcolumn:name="Policy",type="string",JSONPath=".spec.policyName",description="The policy that is asked about."
// +kubebuilder:printcolumn:name="Key",type="string",JSONPath=".spec.key",description="The key that is asked about."
// +kubebuilder:printcolumn:name="Reason",type="string",JSONPath=".status.reason",description="Whether the policy keeps the key fresh, or why it does not."
// +kubebuilder:printcolumn:name="Keyspace",type="string",JSONPath=".status.keyspace",description="The keyspace whose template the key matches."
// +kubebuilder:printcolumn:name="State",type="string",JSONPath=".status.state",description="How the key stands in Redis."
// +kubebuilder:printcolumn:name="TTL",type="string",JSONPath=".status.ttl",description="What was left of the key's lifetime."
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="Problem",type="string",priority=1,JSONPath=".status.problem",description="What could not be found out, and why."
type KeyExplanation struct {
	metav1.TypeMeta `json:",inline"`

	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule=`self == oldSelf`,message=`a KeyExplanation is answered once: to ask about another key, create another`
	Spec KeyExplanationSpec `json:"spec"`

	// status is the answer. It is complete once observedAt is there.
	// +optional
	Status KeyExplanationStatus `json:"status,omitempty"`
}

// KeyExplanationList is a list of KeyExplanation.
//
// +kubebuilder:object:root=true
type KeyExplanationList struct {
	metav1.TypeMeta `json:",inline"`

	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []KeyExplanation `json:"items"`
}

// KeyExplanationSpec names a key and a policy.
type KeyExplanationSpec struct {
	// policyName is the name of a CachePolicy in the same namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PolicyName string `json:"policyName"`

	// key is the Redis key, as it is: at most 1024 characters. A key that is no
	// UTF-8 cannot be asked about.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Key string `json:"key"`
}

// KeyExplanationStatus is what the operator knew of a key at one moment. It
// holds no secret.
type KeyExplanationStatus struct {
	// observedAt is when the operator answered; all below is of that moment.
	// +optional
	ObservedAt *metav1.MicroTime `json:"observedAt,omitempty"`

	// owned says that the policy keeps the key fresh, or would if it existed.
	// +optional
	Owned bool `json:"owned"`

	// reason says in one word why the key is owned or is not.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Z][A-Za-z0-9]*$`
	Reason string `json:"reason,omitempty"`

	// message says the same in a sentence, and what to do about it.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`

	// problem is what kept the operator from finding out the rest, such as that
	// Redis cannot be reached.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Problem string `json:"problem,omitempty"`

	// keyspace is the name of the keyspace whose template the key matches. What
	// follows is there only if one does.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Keyspace string `json:"keyspace,omitempty"`

	// parameters are what the placeholders of the keyspace's template stand for
	// in this key.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Parameters []KeyParameter `json:"parameters,omitempty"`

	// loader is where the key's value comes from.
	// +optional
	Loader *KeyLoader `json:"loader,omitempty"`

	// state is how the key stands: Fresh, Stale (past its refresh ratio),
	// Missing, Ignored (it is no string, or has no expiry), or Unknown.
	// +optional
	// +kubebuilder:validation:Enum=Fresh;Stale;Missing;Ignored;Unknown
	State KeyState `json:"state,omitempty"`

	// ttl is what was left of the key's lifetime; not there without an expiry.
	// +optional
	TTL *Duration `json:"ttl,omitempty"`

	// age is how long ago the key was written, judged by its expiry: expire -
	// ttl. Not there if the key's expiry is longer than expire.
	// +optional
	Age *Duration `json:"age,omitempty"`

	// expire is the lifetime that a rebuild gives the key.
	// +optional
	Expire *Duration `json:"expire,omitempty"`

	// tracked says that the operator has the key in its schedule. One that has
	// just been written is taken in by the next listing.
	// +optional
	Tracked bool `json:"tracked"`

	// dueTime is when the key becomes due for a refresh, or became. A share of
	// chance and the time that a load takes are in it.
	// +optional
	DueTime *metav1.MicroTime `json:"dueTime,omitempty"`

	// nextAttemptTime is when the operator looks at the key again. It differs
	// from dueTime after a failure, while another holds the guard, or while the
	// breaker is open. Not there while a rebuild runs.
	// +optional
	NextAttemptTime *metav1.MicroTime `json:"nextAttemptTime,omitempty"`

	// guard is the key's rebuild lock.
	// +optional
	Guard *KeyGuard `json:"guard,omitempty"`

	// lastLoadTime is when the loader was last asked for this key, by the replica
	// of the operator that answers.
	// +optional
	LastLoadTime *metav1.MicroTime `json:"lastLoadTime,omitempty"`

	// lastOutcome is how the last rebuild by that replica ended.
	// +optional
	LastOutcome *KeyOutcome `json:"lastOutcome,omitempty"`

	// failures is how many rebuilds have failed in a row.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failures int32 `json:"failures,omitempty"`

	// breaker is Open while the keyspace's loads fail as a whole: then one key at
	// a time is tried.
	// +optional
	// +kubebuilder:validation:Enum=Closed;Open
	Breaker BreakerState `json:"breaker,omitempty"`
}

// Reasons of a KeyExplanation.
const (
	// ExplainedTemplateMatches: owned. The key matches a keyspace's template.
	ExplainedTemplateMatches = "TemplateMatches"
	// ExplainedNoTemplateMatches: the key matches no keyspace's template.
	ExplainedNoTemplateMatches = "NoTemplateMatches"
	// ExplainedNotListed: the key matches a keyspace's template, but is not among
	// its source.keys.
	ExplainedNotListed = "NotListed"
	// ExplainedReservedKey: the key is one of the operator's own.
	ExplainedReservedKey = "ReservedKey"
	// ExplainedPolicyNotFound: there is no such policy.
	ExplainedPolicyNotFound = "PolicyNotFound"
	// ExplainedPolicySuspended: the policy's spec.suspend is true.
	ExplainedPolicySuspended = "PolicySuspended"
	// ExplainedKeyspaceConflict: an older policy claims the keyspace.
	ExplainedKeyspaceConflict = "KeyspaceConflict"
	// ExplainedNotInForce: the keyspace is not in force (yet). The policy's
	// conditions say why.
	ExplainedNotInForce = "NotInForce"
)

// KeyParameter is a placeholder and what it stands for.
type KeyParameter struct {
	// name of the placeholder.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name"`

	// value that it has in this key.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value"`
}

// KeyLoader is a request that loads a value.
type KeyLoader struct {
	// method of the request.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Method string `json:"method,omitempty"`

	// url that is asked for this key; one of more than 4096 characters is cut off.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	URL string `json:"url,omitempty"`

	// headers are the names of the headers that the policy adds. Their values are
	// not shown.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=128
	Headers []string `json:"headers,omitempty"`

	// problem is why no url can be made of the key.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Problem string `json:"problem,omitempty"`
}

// KeyState is how a key stands in Redis.
type KeyState string

// The states of a key.
const (
	KeyFresh   KeyState = "Fresh"   // age up to refreshRatio x expire
	KeyStale   KeyState = "Stale"   // older, but there
	KeyMissing KeyState = "Missing" // not there
	KeyIgnored KeyState = "Ignored" // no string, or without an expiry
	KeyUnknown KeyState = "Unknown" // Redis could not be asked
)

// KeyGuard is the state of a key's rebuild lock.
type KeyGuard struct {
	// held says that somebody rebuilds the key.
	// +optional
	Held bool `json:"held"`

	// holder is Operator where the replica that answers rebuilds the key, and
	// Other where that is another replica, or an application.
	// +optional
	// +kubebuilder:validation:Enum=Operator;Other
	Holder GuardHolder `json:"holder,omitempty"`

	// ttl is how long Redis holds the guard unless it is renewed.
	// +optional
	TTL *Duration `json:"ttl,omitempty"`
}

// GuardHolder is who holds a guard.
type GuardHolder string

// The holders of a guard.
const (
	HeldByOperator GuardHolder = "Operator"
	HeldByOther    GuardHolder = "Other"
)

// KeyOutcome is how a rebuild ended.
type KeyOutcome struct {
	// time when it ended.
	// +required
	Time metav1.MicroTime `json:"time"`

	// outcome in one word: Committed, Deleted, NotFound, Changed (an application
	// wrote or deleted the key meanwhile, and won), Failed, Lost (the guard) or
	// Ignored.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Z][A-Za-z0-9]*$`
	Outcome string `json:"outcome"`

	// reason of a failure, as in a policy's status.keyspaces[].lastFailure.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message of a failure. It holds no secret and nothing of an answer's body.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// BreakerState says whether a keyspace's loads are held back.
type BreakerState string

// The states of a breaker.
const (
	BreakerClosed BreakerState = "Closed"
	BreakerOpen   BreakerState = "Open"
)
