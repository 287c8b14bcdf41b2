// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Types of conditions. The domain conditions RedisReachable, LoadersHealthy,
// Fresh and Watching are always present, Unknown until they can be told. Reconciling and
// Stalled follow kstatus and speak of the configuration, never of routine
// refreshing; they and Warning exist only while they are True.
const (
	// ConditionReady is the summary: the spec is in force, and the keys are
	// being kept fresh as it asks.
	ConditionReady = "Ready"
	// ConditionReconciling is True while a spec is on its way into force.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True while a spec cannot come into force until
	// somebody changes it, or something that it refers to.
	ConditionStalled = "Stalled"
	// ConditionRedisReachable says whether Redis can be read and written.
	ConditionRedisReachable = "RedisReachable"
	// ConditionLoadersHealthy says whether the loaders answer.
	ConditionLoadersHealthy = "LoadersHealthy"
	// ConditionFresh says whether the keys are fresh, by count and by sample.
	ConditionFresh = "Fresh"
	// ConditionWatching says by what new keys are found: by key events at once
	// (True), or by the paced listing alone (False). Its message has the shortest
	// expire that the listing can keep.
	ConditionWatching = "Watching"
	// ConditionWarning is True while the spec is in force but is not advisable.
	ConditionWarning = "Warning"
)

// Reasons of Ready, and of Reconciling and Stalled where they give one.
const (
	// ReasonKeepingFresh: Ready is True. The spec is in force and Redis is being
	// kept fresh.
	ReasonKeepingFresh = "KeepingFresh"
	// ReasonSuspended: spec.suspend is true. Nothing is refreshed.
	ReasonSuspended = "Suspended"
	// ReasonDiscovering: the keys that match are being looked up in Redis for
	// the first time since the spec changed or the operator started.
	ReasonDiscovering = "Discovering"
	// ReasonInvalidSpec: the spec is wrong in a way that admission could not
	// see.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonSecretNotFound: a Secret that the spec refers to, or the key in it,
	// does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretInvalid: a Secret's content cannot be used, such as a
	// certificate that cannot be parsed.
	ReasonSecretInvalid = "SecretInvalid"
	// ReasonLimitReached: the operator's limits for one namespace are reached. The
	// message names the flag. Ready is False for a policy that does not come into force,
	// Fresh for keys that are left out, and Warning is True while loads wait for those
	// of the namespace's other policies.
	ReasonLimitReached = "LimitReached"
	// ReasonKeyspaceConflict: an older policy claims keys of this policy on the
	// same Redis. The older one keeps them fresh; this one leaves out the
	// keyspaces that overlap.
	ReasonKeyspaceConflict = "KeyspaceConflict"
)

// Reasons of RedisReachable. Ready takes over those that make it False.
const (
	// ReasonConnected: RedisReachable is True.
	ReasonConnected = "Connected"
	// ReasonNotConnected: RedisReachable is Unknown. No connection has been
	// attempted yet, or none is wanted.
	ReasonNotConnected = "NotConnected"
	// ReasonConnectionFailed: no connection could be made, or it broke.
	ReasonConnectionFailed = "ConnectionFailed"
	// ReasonAuthenticationFailed: Redis refused the login, or wants one.
	ReasonAuthenticationFailed = "AuthenticationFailed"
	// ReasonTLSFailed: the TLS handshake failed, such as for a certificate that
	// is not trusted.
	ReasonTLSFailed = "TLSFailed"
	// ReasonPermissionDenied: the Redis user may not run a command, or touch a
	// key, that is needed.
	ReasonPermissionDenied = "PermissionDenied"
	// ReasonVersionUnsupported: the server is older than Redis 7.0, or does not have
	// a command that is needed, which the message names.
	ReasonVersionUnsupported = "VersionUnsupported"
	// ReasonReadOnly: the server is a replica and takes no writes.
	ReasonReadOnly = "ReadOnly"
	// ReasonLoading: the server is reading its data set from disk.
	ReasonLoading = "Loading"
	// ReasonOutOfMemory: the server is at maxmemory and takes no writes.
	ReasonOutOfMemory = "OutOfMemory"
)

// Reasons of LoadersHealthy.
const (
	// ReasonLoadsSucceeding: LoadersHealthy is True.
	ReasonLoadsSucceeding = "LoadsSucceeding"
	// ReasonEgressDenied: LoadersHealthy or RedisReachable is False. The operator's
	// rules forbid an address that a loader's or Redis' host leads to. The message
	// names the rule and the host.
	ReasonEgressDenied = "EgressDenied"
	// ReasonLoadsFailing: LoadersHealthy is False. The message names the
	// keyspaces, and status.keyspaces has the last failure of each.
	ReasonLoadsFailing = "LoadsFailing"
	// ReasonManyNotFound: LoadersHealthy is False. So many answers say that a key
	// which holds a value is not found that onNotFound: Delete deletes none
	// (maxNotFoundPercent).
	ReasonManyNotFound = "ManyNotFound"
	// ReasonLoaderPaused: LoadersHealthy is False. A loader asked to be left alone
	// (Retry-After) for longer than its keys may be late. Keys that reach the end
	// of their life meanwhile expire.
	ReasonLoaderPaused = "LoaderPaused"
	// ReasonNoLoadsYet: LoadersHealthy is Unknown.
	ReasonNoLoadsYet = "NoLoadsYet"
)

// Reasons of Fresh.
const (
	// ReasonKeysFresh: Fresh is True.
	ReasonKeysFresh = "KeysFresh"
	// ReasonKeysStale: Fresh is False. Keys exist that are past their refresh
	// ratio by more than the time that a rebuild takes.
	ReasonKeysStale = "KeysStale"
	// ReasonKeysEvicted: Fresh is False. Keys are gone at each look, before their
	// time, and Redis evicts keys for want of memory. The message has its maxmemory.
	ReasonKeysEvicted = "KeysEvicted"
	// ReasonKeysMissing: Fresh is False. Keys that should exist do not.
	ReasonKeysMissing = "KeysMissing"
	// ReasonLoaderTooSlow: Fresh is False. Loads succeed, but fewer per second
	// than keep all keys fresh: as the loader takes too long, or maxConcurrent
	// or maxPerSecond allow no more. The message has both numbers.
	ReasonLoaderTooSlow = "LoaderTooSlow"
	// ReasonFreshnessUnknown: Fresh is Unknown. The keys have not been counted
	// yet, or Redis cannot be asked.
	ReasonFreshnessUnknown = "FreshnessUnknown"
)

// Reasons of Watching, beside PermissionDenied: this Redis user may not listen to
// the channels of key events, or may not configure them although redis.keyEvents
// asks for that.
const (
	// ReasonKeyEvents: Watching is True. Redis tells of all that is wanted.
	ReasonKeyEvents = "KeyEvents"
	// ReasonMissesNotSent: Watching is False. New keys are heard of, but no
	// misses, which a keyspace wants by onMiss: Rebuild: Redis'
	// notify-keyspace-events lacks the flag m.
	ReasonMissesNotSent = "MissesNotSent"
	// ReasonEventsNotSent: Watching is False. Redis' notify-keyspace-events lacks
	// the flag n, or both K and E.
	ReasonEventsNotSent = "EventsNotSent"
	// ReasonEventsOff: Watching is False, as redis.keyEvents is Off.
	ReasonEventsOff = "EventsOff"
	// ReasonEventsUnavailable: Watching is False. Redis cannot be reached, or does
	// not serve, so that nothing could be subscribed to.
	ReasonEventsUnavailable = "EventsUnavailable"
	// ReasonProbing: Watching is Unknown. It is being found out whether Redis
	// sends events.
	ReasonProbing = "Probing"
)

// Reasons of Warning.
const (
	// ReasonGuardTimeoutTooLong: a keyspace's guardTimeout is not less than what
	// is left of a key's lifetime when it becomes due, so that a slow load may
	// let the key expire.
	ReasonGuardTimeoutTooLong = "GuardTimeoutTooLong"
	// ReasonRebuildTooSlow: more than one in a hundred rebuilds of a keyspace take
	// longer than there is from the earliest time at which a key is refreshed to
	// its expiry, so that keys expire meanwhile. The message has both times.
	ReasonRebuildTooSlow = "RebuildTooSlow"
)

// Reasons of a keyspace's lastFailure.
const (
	// FailureTimeout: the loader did not answer, or not completely, in time.
	FailureTimeout = "Timeout"
	// FailureEgressDenied: the operator may not connect to what the loader's host
	// leads to.
	FailureEgressDenied = "EgressDenied"
	// FailureConnectionFailed: the loader could not be reached.
	FailureConnectionFailed = "ConnectionFailed"
	// FailureTLSFailed: the TLS handshake with the loader failed.
	FailureTLSFailed = "TLSFailed"
	// FailureRedirected: the loader answered with a redirect; none is followed.
	FailureRedirected = "Redirected"
	// FailureUnexpectedStatus: the loader's status was neither 200, 404 nor 410.
	FailureUnexpectedStatus = "UnexpectedStatus"
	// FailureBodyTooLarge: the body was larger than maxBodyBytes.
	FailureBodyTooLarge = "BodyTooLarge"
	// FailureBodyBroken: the connection broke before the body was complete.
	FailureBodyBroken = "BodyBroken"
	// FailureNotFound: the loader knows no value for a key that is to be kept.
	FailureNotFound = "NotFound"
	// FailureInvalidKey: no valid url can be made of the key.
	FailureInvalidKey = "InvalidKey"
	// FailureWrongType: the key does not hold a string, and is never overwritten.
	FailureWrongType = "WrongType"
	// FailureNoExpiry: the key has no expiry, and is left alone.
	FailureNoExpiry = "NoExpiry"
	// FailureGuardLost: the guard was lost to somebody else before
	// the value could be written.
	FailureGuardLost = "GuardLost"
	// FailureRedisError: Redis failed to acquire or to commit.
	FailureRedisError = "RedisError"
)
