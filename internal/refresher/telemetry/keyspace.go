// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// Keyspace names a keyspace, for the labels of its series.
type Keyspace struct{ Namespace, Policy, Name string }

// Series are the series of one keyspace.
type Series struct {
	all              *Metrics
	policy, keyspace prometheus.Labels

	loads, rebuilds, redisErrors                   *prometheus.CounterVec
	duration, lag                                  prometheus.Observer
	gone                                           prometheus.Counter
	expire, staleAge, settled                      prometheus.Gauge
	required, lead, queue, late, lost, open, brake prometheus.Gauge
	redis                                          prometheus.Gauge

	read, unread prometheus.Counter

	// From the first listing on.
	fresh prometheus.Gauge
	keys  []prometheus.Gauge // by state, as stateLabel has them
}

// Keyspace returns the series of a keyspace.
func (m *Metrics) Keyspace(of Keyspace) *Series {
	p := prometheus.Labels{"namespace": of.Namespace, "policy": of.Policy}
	k := prometheus.Labels{"namespace": of.Namespace, "policy": of.Policy, "keyspace": of.Name}
	l := &Series{
		all: m, policy: p, keyspace: k,
		loads: m.loads.MustCurryWith(k), rebuilds: m.rebuilds.MustCurryWith(k), redisErrors: m.redisErrors.MustCurryWith(p),
		duration: m.duration.With(k), lag: m.lag.With(k), gone: m.expired.With(k),
		expire: m.expire.With(k), staleAge: m.staleAge.With(k), settled: m.settled.With(k),
		required: m.required.With(k), lead: m.lead.With(k), queue: m.queue.With(k), late: m.late.With(k), lost: m.lost.With(k), open: m.breaker.With(k), brake: m.brake.With(k),
		redis: m.redisUp.With(p),
	}
	// A rate needs the zero before the first event; the rarer ones come as they occur.
	l.loads.WithLabelValues(loaded)
	l.redisErrors.WithLabelValues(string(redisconn.ConnectionFailed))
	for _, o := range []rebuild.Outcome{rebuild.Committed, rebuild.Failed, rebuild.Held} {
		l.rebuilds.WithLabelValues(string(o))
	}
	sampled := m.sampled.MustCurryWith(k)
	l.read, l.unread = sampled.WithLabelValues("yes"), sampled.WithLabelValues("no")
	return l
}

// Rebuilt counts the end of a rebuild.
func (l *Series) Rebuilt(r rebuild.Result) {
	l.rebuilds.WithLabelValues(string(r.Outcome)).Inc()
	if r.Took == 0 {
		return
	}
	l.duration.Observe(r.Took.Seconds())
	result := loaded
	if r.NoValue != "" {
		result = string(r.NoValue)
	}
	l.loads.WithLabelValues(result).Inc()
}

// Sampled counts keys that somebody had read, and that nobody had.
func (l *Series) Sampled(read, unread int) {
	l.read.Add(float64(read))
	l.unread.Add(float64(unread))
}

// Refreshed notes how long a key had been stale when it was refreshed.
func (l *Series) Refreshed(lag time.Duration) { l.lag.Observe(max(0, lag.Seconds())) }

// Expired counts a key that was not refreshed in time.
func (l *Series) Expired() { l.gone.Inc() }

// RedisFailed counts an error of Redis.
func (l *Series) RedisFailed(why redisconn.Reason) {
	l.redisErrors.WithLabelValues(string(why)).Inc()
}

// RedisIs shows whether Redis is reachable.
func (l *Series) RedisIs(s redisconn.Status) {
	l.redis.Set(one(s.Reason == redisconn.Connected))
}

// Evicts shows how many keys Redis has evicted in the last minute; negative if it does
// not tell.
func (l *Series) Evicts(evicted int64) {
	if evicted < 0 {
		l.all.evicted.Delete(l.policy)
		return
	}
	l.all.evicted.With(l.policy).Set(float64(evicted))
}

// Standing is how a keyspace stands.
type Standing struct {
	Expire, StaleAge time.Duration
	Lead             time.Duration // how early keys become due
	Required         float64       // loads per second
	Losing           float64       // share of the keys

	Listed  bool // the counts say something
	Settled bool

	Fresh, Stale, Missing, Ignored int64 // keys
	Late, Queued                   int64

	Nearest    time.Duration // life left to the key that expires first; if
	HasNearest bool          // there is one

	BreakerOpen, BrakeOn bool
}

// Show shows how a keyspace stands.
func (l *Series) Show(s Standing) {
	l.expire.Set(s.Expire.Seconds())
	l.staleAge.Set(s.StaleAge.Seconds())
	l.settled.Set(one(s.Settled))
	l.open.Set(one(s.BreakerOpen))
	l.brake.Set(one(s.BrakeOn))
	l.queue.Set(float64(s.Queued))
	l.late.Set(float64(s.Late))
	l.lost.Set(s.Losing)
	l.required.Set(s.Required)
	l.lead.Set(s.Lead.Seconds())
	if s.HasNearest {
		l.all.nearest.With(l.keyspace).Set(max(0, s.Nearest.Seconds()))
	} else {
		l.all.nearest.Delete(l.keyspace)
	}
	if !s.Listed {
		return // the numbers say nothing yet, or are the last known ones
	}
	if l.keys == nil {
		keys := l.all.keys.MustCurryWith(l.keyspace)
		for _, state := range stateLabel.Values {
			l.keys = append(l.keys, keys.WithLabelValues(state))
		}
		l.fresh = l.all.fresh.With(l.keyspace)
	}
	for i, n := range []int64{s.Fresh, s.Stale, s.Missing, s.Ignored} {
		l.keys[i].Set(float64(n))
	}
	ratio := 1.0
	if keys := s.Fresh + s.Stale + s.Missing; keys > 0 {
		ratio = float64(s.Fresh) / float64(keys)
	}
	l.fresh.Set(ratio)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
