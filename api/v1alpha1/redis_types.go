// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Redis says where a Redis is and how to log in to it.
type Redis struct {
	// addresses of the Redis as host:port: exactly one. An IPv6 address stands
	// in brackets, as in [::1]:6379.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1
	// +kubebuilder:validation:items:MinLength=3
	// +kubebuilder:validation:items:MaxLength=261
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^[\x00-\x7f]*$')`,message=`write an international host name in its ASCII form, such as xn--bcher-kva.example`
	// +kubebuilder:validation:items:XValidation:rule=`!self.contains('%')`,message=`leave the zone (% and what follows) out of an IPv6 address: it names an interface of one machine`
	// +kubebuilder:validation:items:XValidation:rule=`!self.contains('..')`,message=`leave out the empty part of the host name, between two dots`
	// +kubebuilder:validation:items:XValidation:rule=`self.contains('%') || self.contains('..') || self.matches(r'[^\x00-\x7f]') || self.matches(r'^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([-._A-Za-z0-9]*[A-Za-z0-9_])?\.?):([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$')`,message=`write host:port, such as redis.shop.svc:6379 or [::1]:6379, with a port from 1 to 65535`
	Addresses []string `json:"addresses"`

	// database is the number of the Redis database, 0 to 1023.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1023
	Database int32 `json:"database,omitempty"`

	// keyEvents says whether to hear of new keys by Redis' keyspace notifications,
	// so that listings may be rare. Auto uses them where Redis sends them already.
	// Configure also adds what is missing to Redis' notify-keyspace-events, and
	// never removes a flag. Off does not listen. The condition Watching says what
	// came of it.
	// +optional
	// +kubebuilder:default=Auto
	KeyEvents KeyEvents `json:"keyEvents,omitempty"`

	// auth is how to log in. Without it, no login is attempted.
	// +optional
	Auth *RedisAuth `json:"auth,omitempty"`

	// tls makes the connection encrypted. Without it, it is not; {} means TLS
	// with the system's roots and no client certificate.
	// +optional
	TLS *RedisTLS `json:"tls,omitempty"`
}

// KeyEvents says what use to make of Redis' keyspace notifications.
//
// +kubebuilder:validation:Enum=Auto;Off;Configure
type KeyEvents string

const (
	// KeyEventsAuto listens where Redis sends what is needed.
	KeyEventsAuto KeyEvents = "Auto"
	// KeyEventsOff does not listen: keys are found by listings alone.
	KeyEventsOff KeyEvents = "Off"
	// KeyEventsConfigure also adds the flags that are missing.
	KeyEventsConfigure KeyEvents = "Configure"
)

// RedisAuth is how to log in to a Redis.
type RedisAuth struct {
	// secretRef names the Secret whose key password, and optionally key
	// username, hold the login. Without a username, Redis' default user is
	// logged in.
	// +required
	SecretRef SecretReference `json:"secretRef"`
}

// RedisTLS is how a connection to a Redis is encrypted and authenticated.
type RedisTLS struct {
	// caSecretRef selects the certificates (PEM) of the authorities that may
	// sign the server's certificate. Without it, the system's roots may.
	// +optional
	CASecretRef *CASecretReference `json:"caSecretRef,omitempty"`

	// certSecretRef names the Secret (of type kubernetes.io/tls, or with the
	// same keys) whose keys tls.crt and tls.key hold the client certificate and
	// its private key (PEM). Without it, no client certificate is presented.
	// +optional
	CertSecretRef *SecretReference `json:"certSecretRef,omitempty"`

	// serverName is the name that the server's certificate must bear, where
	// that differs from the host of the address. It is also sent as SNI.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ServerName string `json:"serverName,omitempty"`
}

// SecretReference names a Secret in the policy's namespace.
type SecretReference struct {
	// name of a Secret in the policy's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
}

// SecretKeyReference selects one key of a Secret in the policy's namespace.
type SecretKeyReference struct {
	// name of a Secret in the policy's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// key of the Secret's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key"`
}

// CASecretReference selects the certificate authorities in a Secret in the
// policy's namespace.
type CASecretReference struct {
	// name of a Secret in the policy's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// key of the Secret's data.
	// +optional
	// +kubebuilder:default="ca.crt"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}
