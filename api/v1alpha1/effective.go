// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// What the schema sets where a field is left out, for objects that have not
// passed through an API server.
const (
	// DefaultRefreshRatio is the refresh ratio of a policy that sets none.
	DefaultRefreshRatio Percentage = "62%"
	// DefaultGuardTimeout is the guard timeout of a policy that sets none.
	DefaultGuardTimeout = 6 * time.Second
	// DefaultMaxConcurrent is the concurrency of a loader that sets none.
	DefaultMaxConcurrent int32 = 6
	// DefaultMaxBodyBytes is the body limit of a loader that sets none.
	DefaultMaxBodyBytes int64 = 1 << 20
	// DefaultBatchSize is the size of a batch that sets none.
	DefaultBatchSize int32 = 100
	// DefaultCASecretKey is the key of a caSecretRef that sets none.
	DefaultCASecretKey = "ca.crt"
)

// DefaultLoadTimeout is the timeout of a loader that sets none, where the guard
// timeout is not shorter. The schema does not set it.
const DefaultLoadTimeout = 5 * time.Second

// Percent returns p as a number from 1 to 99, or an error that says what a
// percentage looks like.
func (p Percentage) Percent() (int, error) {
	digits, isPercentage := strings.CutSuffix(string(p), "%")
	percent, err := strconv.Atoi(digits)
	if !isPercentage || err != nil || percent < 1 || percent > 99 || strconv.Itoa(percent) != digits {
		return 0, fmt.Errorf("%q is not a whole percentage from 1%% to 99%%, such as 62%%", string(p))
	}
	return percent, nil
}

// EffectiveExpire returns the time to live that a rebuild of k's keys writes:
// k's own, else the policy's, else 0, which admission refuses.
func (k *Keyspace) EffectiveExpire(spec *CachePolicySpec) time.Duration {
	switch {
	case k.Expire != nil:
		return k.Expire.Duration
	case spec.Expire != nil:
		return spec.Expire.Duration
	default:
		return 0
	}
}

// EffectiveRefreshRatio returns the share of its lifetime after which a key of
// k is due, in percent (1 to 99): k's own, else the policy's, else the default.
func (k *Keyspace) EffectiveRefreshRatio(spec *CachePolicySpec) (int, error) {
	ratio := k.RefreshRatio
	if ratio == "" {
		ratio = spec.RefreshRatio
	}
	if ratio == "" {
		ratio = DefaultRefreshRatio
	}
	return ratio.Percent()
}

// EffectiveDueAfter returns the age at which a key of k is due: the effective
// expire times the effective refresh ratio, rounded down to a millisecond, the
// unit in which Redis counts. What is left of the lifetime then is the effective
// expire minus this.
func (k *Keyspace) EffectiveDueAfter(spec *CachePolicySpec) (time.Duration, error) {
	percent, err := k.EffectiveRefreshRatio(spec)
	if err != nil {
		return 0, err
	}
	return DueAfter(k.EffectiveExpire(spec), percent), nil
}

// DueAfter returns percent of expire, rounded down to a millisecond.
func DueAfter(expire time.Duration, percent int) time.Duration {
	return time.Duration(expire.Milliseconds()*int64(percent)/100) * time.Millisecond
}

// EffectiveGuardTimeout returns the longest that a rebuild of k's keys may hold
// the guard: k's own, else the policy's, else the default.
func (k *Keyspace) EffectiveGuardTimeout(spec *CachePolicySpec) time.Duration {
	switch {
	case k.GuardTimeout != nil:
		return k.GuardTimeout.Duration
	case spec.GuardTimeout != nil:
		return spec.GuardTimeout.Duration
	default:
		return DefaultGuardTimeout
	}
}

// EffectiveTimeout returns the timeout of one load: the loader's own, else the
// lesser of DefaultLoadTimeout and the effective guard timeout, or a quarter of
// that for a batch: a key that hangs can be told from the others of its batch only
// if there is time to ask for parts of it.
func (k *Keyspace) EffectiveTimeout(spec *CachePolicySpec) time.Duration {
	if k.Loader.HTTP != nil && k.Loader.HTTP.Timeout != nil {
		return k.Loader.HTTP.Timeout.Duration
	}
	longest := k.EffectiveGuardTimeout(spec)
	if k.Loader.HTTP != nil && k.Loader.HTTP.Batch != nil {
		longest /= 4
	}
	return min(DefaultLoadTimeout, longest)
}

// EffectiveBatchSize returns how many keys a call may hold: 0 for a loader that
// is called for each key, without batches.
func (h *HTTPLoader) EffectiveBatchSize() int {
	switch {
	case h.Batch == nil:
		return 0
	case h.Batch.Size == 0:
		return int(DefaultBatchSize)
	default:
		return int(h.Batch.Size)
	}
}

// FreshShare returns the share of keys that are fresh as it is written in a
// status, such as 99.9%: rounded down to a tenth of a percent, so that 100%
// means all of them. It returns "" where there are no keys.
func FreshShare(fresh, keys int64) string {
	if keys <= 0 {
		return ""
	}
	fresh = min(max(fresh, 0), keys)
	tenths := fresh * 1000 / keys
	if tenths == 1000 {
		return "100%"
	}
	return fmt.Sprintf("%d.%d%%", tenths/10, tenths%10)
}

// LoadRate returns a number of loads per second as it is written in a status:
// to two decimals where it is less than 10, such as 0.27, else whole.
func LoadRate(perSecond float64) string {
	if perSecond < 10 {
		return strconv.FormatFloat(math.Round(100*max(0, perSecond))/100, 'f', -1, 64)
	}
	return strconv.FormatFloat(min(perSecond, 1e15), 'f', 0, 64)
}
