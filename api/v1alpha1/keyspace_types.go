// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Keyspace is a family of Redis keys that share a template, a loader and a
// lifetime. Only keys that hold a string are kept fresh.
//
// +kubebuilder:validation:XValidation:rule=`[self.loader.http.url.replace('{+', '{').findAll(r'\{[^{}]*\}')].all(p, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].all(i, i >= p.size() || p[i] == '{key}' || self.key.replace('{{', "").replace('{+', '{').indexOf(p[i]) >= 0))`,message=`use in the url only placeholders that the key template has, or {key} for the whole key`
// +kubebuilder:validation:XValidation:rule=`has(self.loader.http.batch) || self.loader.http.url.contains('{') || !self.key.replace('{{', "").contains('{')`,message=`put a placeholder of the key template into the url, or {key} for the whole key: without one every key would get the same value`
// +kubebuilder:validation:XValidation:rule=`!has(self.source.keys) || [self.key == self.key.find(r'^([^{}]|\{\{|\}\})*')].all(l, [self.key.find(r'^([^{}]|\{\{|\}\})*').replace('{{', '{').replace('}}', '}')].all(h, [self.key.find(r'([^{}]|\{\{|\}\})*$').replace('{{', '{').replace('}}', '}')].all(t, self.source.keys.all(k, k.indexOf(h) == 0 && k.lastIndexOf(t) == k.size() - t.size() && (l ? k.size() == h.size() : k.size() > h.size() + t.size())))))`,message=`every one of source.keys must match the key template: begin and end as it does, with something in each placeholder's place`
// +kubebuilder:validation:XValidation:rule=`!has(self.source.keys) || self.key.replace('{{', "").contains('{+') || [self.key.split(':').size()].all(n, self.source.keys.all(k, k.split(':').size() == n))`,message=`every one of source.keys must match the key template: have as many colons as it does, since {name} stands for no colon; write {+name} for a part that may hold some`
// +kubebuilder:validation:XValidation:rule=`!has(self.source.keys) || self.key.find(r'[^}]\}([^{}]|\{\{|\}\})+\{[^{]') == "" || [self.key.find(r'^([^{}]|\{\{|\}\})*').replace('{{', '{').replace('}}', '}')].all(h, [self.key.find(r'([^{}]|\{\{|\}\})*$').replace('{{', '{').replace('}}', '}')].all(t, [self.key.find(r'[^}]\}([^{}]|\{\{|\}\})+\{[^{]').substring(2, self.key.find(r'[^}]\}([^{}]|\{\{|\}\})+\{[^{]').size() - 2).replace('{{', '{').replace('}}', '}')].all(m, self.source.keys.all(k, k.size() > h.size() + 1 && k.indexOf(m, h.size() + 1) > 0 && k.indexOf(m, h.size() + 1) + m.size() < k.size() - t.size()))))`,message=`every one of source.keys must match the key template: hold the text that stands between its placeholders, with something on either side`
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
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([^{}\x00-\x1f\x7f]|\{\{|\}\}|\{\+?[a-z][a-zA-Z0-9_]{0,31}\})+$')`,message=`write placeholders as {name} or {+name}, the name a small letter followed by up to 31 letters, digits or underscores; write {{ and }} for a brace that is part of the key; leave out control characters`
	// +kubebuilder:validation:XValidation:rule=`!self.startsWith('keepfresh:')`,message=`begin the key template with something other than keepfresh:, which is reserved for the operator's own keys`
	// +kubebuilder:validation:XValidation:rule=`!self.replace('{{', "").matches(r'\{\+?key\}')`,message=`give the placeholder a name other than key, which stands for the whole key in a url`
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'[^}]\}\{[^{]')`,message=`put text between two placeholders, such as a colon: where one ends and the next begins cannot be told otherwise`
	// +kubebuilder:validation:XValidation:rule=`[self.replace('{{', "").replace('{+', '{').findAll(r'\{\w+\}')].all(p, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].all(i, i >= p.size() || self.replace('{{', "").replace('{+', '{').indexOf(p[i]) == self.replace('{{', "").replace('{+', '{').lastIndexOf(p[i])))`,message=`give each placeholder of the key template a name of its own`
	// +kubebuilder:validation:XValidation:rule=`self.replace('{{', "").split('{').size() <= 17`,message=`use at most 16 placeholders in a key template`
	Key string `json:"key"`

	// source says which of the keys that match are kept fresh: by default those
	// that exist.
	// +optional
	// +default={"existing":{}}
	Source *Source `json:"source,omitempty"`

	// loader is where the values come from.
	// +required
	Loader Loader `json:"loader"`

	// onMiss says what a reader's miss leads to. Rebuild: the key is loaded, once,
	// however many readers miss it. Ignore: nothing. Misses are heard of by
	// Redis' key-miss events, which redis.keyEvents must allow; a key that the
	// loader does not know is not tried again for half of the time until a key is
	// stale. With source.keys, only those are loaded.
	// +optional
	// +kubebuilder:default=Ignore
	OnMiss OnMiss `json:"onMiss,omitempty"`

	// onNotFound says what becomes of a key when the loader answers that there
	// is no such value (HTTP 404 or 410): Delete deletes it from Redis, Keep
	// leaves it to expire.
	// +optional
	// +kubebuilder:default=Delete
	OnNotFound OnNotFound `json:"onNotFound,omitempty"`

	// maxNotFoundPercent bounds what onNotFound: Delete deletes: once more than so
	// many percent of the last 100 answers for keys that hold values, and at least
	// 10 of them, say that there is no such value, Delete acts as Keep, and
	// LoadersHealthy is False with the reason ManyNotFound. It ends below a third of
	// this. 1 to 100; 100 sets no bound.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxNotFoundPercent int32 `json:"maxNotFoundPercent,omitempty"`

	// expire overrides the policy's expire for this keyspace: 1s to 720h.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([0-9]{1,5}(h|m|s|ms)){1,4}$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')`,message=`write an expire of 1s to 720h, such as 90s, 5m or 24h; the units are h, m, s and ms`
	Expire *Duration `json:"expire,omitempty"`

	// refreshRatio overrides the policy's refreshRatio for this keyspace: 1% to 99%.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	RefreshRatio Percentage `json:"refreshRatio,omitempty"`

	// guardTimeout overrides the policy's guardTimeout for this keyspace: 100ms to 5m.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([0-9]{1,5}(h|m|s|ms)){1,4}$') && duration(self) >= duration('100ms') && duration(self) <= duration('5m')`,message=`write a guardTimeout of 100ms to 5m, such as 6s; the units are h, m, s and ms`
	GuardTimeout *Duration `json:"guardTimeout,omitempty"`
}

// Source says which keys are kept fresh. Exactly one of its fields is set.
//
// +kubebuilder:validation:XValidation:rule=`has(self.existing) != has(self.keys)`,message=`set exactly one of existing ({}) and keys`
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
	// +kubebuilder:validation:items:XValidation:rule=`!self.startsWith('keepfresh:')`,message=`keys that begin with keepfresh: are the operator's own; leave them out`
	Keys []string `json:"keys,omitempty"`
}

// ExistingSource selects the keys that exist in Redis and match the template.
type ExistingSource struct{}

// OnMiss says what a reader's miss leads to.
//
// +kubebuilder:validation:Enum=Rebuild;Ignore
type OnMiss string

const (
	// OnMissRebuild loads the key, once.
	OnMissRebuild OnMiss = "Rebuild"
	// OnMissIgnore does nothing.
	OnMissIgnore OnMiss = "Ignore"
)

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
	// http loads values by HTTP.
	// +required
	HTTP *HTTPLoader `json:"http,omitempty"`

	// maxConcurrent is how many calls for this keyspace may run at once, 1 to
	// 1000. A call is for one key, or for a batch of keys.
	// +optional
	// +kubebuilder:default=6
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxConcurrent int32 `json:"maxConcurrent,omitempty"`

	// maxPerSecond is how many calls for this keyspace may begin in a second, 1
	// to 100000. Without it, only maxConcurrent limits them. A call is for one
	// key, or for a batch of keys.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaxPerSecond *int32 `json:"maxPerSecond,omitempty"`
}

// HTTPLoader loads a key's value by a GET request. The body of a 200 is the
// value; 404 and 410 mean that there is none; all else, redirects included, is
// a failure. With batch, many keys are loaded by one POST request.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.batch) || !self.url.contains('{')`,message=`take the placeholders out of the url, or take out batch: one call of a batch is for many keys, which stand in its body and not in the url`
type HTTPLoader struct {
	// url is the template of the address to get, http or https. {name} stands
	// for what the key's placeholder of that name matched, percent-encoded;
	// {+name} for the same with reserved characters as they are (RFC 6570,
	// levels 1 and 2); {key} and {+key} for the whole key. A placeholder may not
	// stand in the host.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^https?://')`,message=`begin the url with http:// or https://`
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^\w+://[^/?#]*@')`,message=`take the user and password out of the url; send credentials by a header with valueFrom.secretKeyRef`
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^\w+://[^/?#]*[{}]')`,message=`keep placeholders out of the url's host and port; the first may stand after a slash or a question mark`
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^\w+://[^/?#]*[^\x00-\x7f]')`,message=`write an international host name in its ASCII form, such as xn--bcher-kva.example`
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^\w+://[^/?#]*%')`,message=`leave the zone (% and what follows) out of an IPv6 address, and write a host name without percent-encoding`
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^\w+://[^/?#]*[.][.]')`,message=`leave out the empty part of the url's host name, between two dots`
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^\w+://[^/?#{}@]*([/?#]|$)') || self.matches(r'^\w+://[^/?#]*([^\x00-\x7f]|%|[.][.])') || self.matches(r'^\w+://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([-._A-Za-z0-9]*[A-Za-z0-9_])?\.?)(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?([/?#]|$)')`,message=`write a host, and at most a port from 1 to 65535, after the url's scheme, such as http://catalog.shop.svc:8080/`
	// +kubebuilder:validation:XValidation:rule=`!self.contains('#')`,message=`take the fragment out of the url; write %23 for the character #`
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^\w+://[^/?#]*[^\x00-\x7f]') || self.matches(r'^\w+://[^/?#]*%') || self.matches(r'^([!#$&(-;=?-\[\]_a-z~]|%[0-9A-Fa-f]{2}|\{\+?[a-z][a-zA-Z0-9_]{0,31}\})*$')`,message=`use only {name} and {+name} as placeholders in the url, and percent-encode braces, spaces and all else that may not stand in a url`
	// +kubebuilder:validation:XValidation:rule=`self.split('{').size() <= 17`,message=`use at most 16 placeholders in a url`
	URL string `json:"url"`

	// batch has one call ask for many keys. The url is then called by POST with
	// the keys in its body, and has no placeholder.
	// +optional
	Batch *Batch `json:"batch,omitempty"`

	// timeout of one call, from dialling to the last byte of the body: 10ms to
	// 5m, and no more than the guardTimeout. Without it, the lesser of 5s and the
	// guardTimeout; with batch, the lesser of 5s and a quarter of the guardTimeout,
	// so that there is time to find a key that hangs.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([0-9]{1,5}(h|m|s|ms)){1,4}$') && duration(self) >= duration('10ms') && duration(self) <= duration('5m')`,message=`write a timeout of 10ms to 5m, such as 2s or 500ms; the units are h, m, s and ms`
	Timeout *Duration `json:"timeout,omitempty"`

	// headers of each request, at most 16.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule=`self.all(a, self.exists_one(b, a.name.lowerAscii() == b.name.lowerAscii()))`,message=`name each header once; upper and lower case do not tell two headers apart`
	Headers []HTTPHeader `json:"headers,omitempty"`

	// maxBodyBytes is the largest body of an answer that is accepted, in bytes: 1
	// to 67108864 (64MiB). The body is a value, or all values of a batch. A
	// larger one is a failure, and nothing is written.
	// +optional
	// +kubebuilder:default=1048576
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=67108864
	MaxBodyBytes int64 `json:"maxBodyBytes,omitempty"`
}

// Batch asks for many keys with one call: POST {"keys": [...]}, which is answered
// by {"values": {...}, "notFound": [...], "failed": [...]}.
type Batch struct {
	// size is how many keys a call may hold, 1 to 1000.
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Size int32 `json:"size,omitempty"`
}

// HTTPHeader is a header of a request. Exactly one of value and valueFrom is set.
//
// +kubebuilder:validation:XValidation:rule=`has(self.value) != has(self.valueFrom)`,message=`set exactly one of value and valueFrom`
type HTTPHeader struct {
	// name of the header. Those that the connection itself decides, such as Host
	// and Content-Length, are refused.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[-!#$%&*+.^_|~0-9A-Za-z]+$')`,message=`write a header name of letters, digits and hyphens, such as Authorization`
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'(?i)^(host|connection|content-length|expect|if-.*|keep-alive|proxy-.*|range|te|trailer|transfer-encoding|upgrade)$')`,message=`leave this header out: the connection decides it, or it would change what an answer means`
	Name string `json:"name"`

	// value of the header, readable by whoever can read the policy. For
	// credentials use valueFrom.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'[\x00-\x1f\x7f]')`,message=`leave control characters such as line breaks out of a header value`
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
