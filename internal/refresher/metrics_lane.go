// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// laneMetrics are the series of one keyspace.
type laneMetrics struct {
	all              *metrics
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

func (m *metrics) lane(id ID, keyspace string) *laneMetrics {
	p := prometheus.Labels{"namespace": id.Namespace, "policy": id.Name}
	k := prometheus.Labels{"namespace": id.Namespace, "policy": id.Name, "keyspace": keyspace}
	l := &laneMetrics{
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
	for _, o := range []outcome{committed, failed, held} {
		l.rebuilds.WithLabelValues(string(o))
	}
	sampled := m.sampled.MustCurryWith(k)
	l.read, l.unread = sampled.WithLabelValues("yes"), sampled.WithLabelValues("no")
	return l
}

// observe counts the end of a rebuild.
func (l *laneMetrics) observe(r result) {
	l.rebuilds.WithLabelValues(string(r.outcome)).Inc()
	if r.took == 0 {
		return
	}
	l.duration.Observe(r.took.Seconds())
	result := loaded
	if r.noValue != "" {
		result = string(r.noValue)
	}
	l.loads.WithLabelValues(result).Inc()
}

// sampled counts keys that somebody had read, and that nobody had.
func (l *laneMetrics) sampled(read, unread int) {
	l.read.Add(float64(read))
	l.unread.Add(float64(unread))
}

// refreshed notes how long a key had been stale when it was refreshed.
func (l *laneMetrics) refreshed(lag time.Duration) { l.lag.Observe(max(0, lag.Seconds())) }

// expired counts a key that was not refreshed in time.
func (l *laneMetrics) expired() { l.gone.Inc() }

// refused counts an error of Redis.
func (l *laneMetrics) refused(why redisconn.Reason) {
	l.redisErrors.WithLabelValues(string(why)).Inc()
}

// reach shows whether Redis is reachable.
func (l *laneMetrics) reach(s redisconn.Status) {
	l.redis.Set(one(s.Reason == redisconn.Connected))
}

// evicts shows how many keys Redis evicts.
func (l *laneMetrics) evicts(m *Memory) {
	if m.Evicted < 0 {
		l.all.evicted.Delete(l.policy)
		return
	}
	l.all.evicted.With(l.policy).Set(float64(m.Evicted))
}

// show shows how a keyspace stands.
func (l *laneMetrics) show(k KeyspaceSnapshot, t timing, c counts, lead time.Duration, open bool) {
	l.expire.Set(t.expire.Seconds())
	l.staleAge.Set(t.staleAge.Seconds())
	l.settled.Set(one(k.Settled))
	l.open.Set(one(open))
	l.queue.Set(float64(c.queued))
	l.late.Set(float64(k.Late))
	l.lost.Set(k.Losing)
	l.required.Set(k.Required)
	l.lead.Set(min(lead, t.maxLead()).Seconds())
	if c.there {
		l.all.nearest.With(l.keyspace).Set(max(0, c.nearest.Seconds()))
	} else {
		l.all.nearest.Delete(l.keyspace)
	}
	if !k.Listed {
		return // the numbers say nothing yet, or are the last known ones
	}
	if l.keys == nil {
		keys := l.all.keys.MustCurryWith(l.keyspace)
		for _, state := range stateLabel.Values {
			l.keys = append(l.keys, keys.WithLabelValues(state))
		}
		l.fresh = l.all.fresh.With(l.keyspace)
	}
	for i, n := range []int64{k.Fresh, k.Stale, k.Missing, k.Ignored} {
		l.keys[i].Set(float64(n))
	}
	ratio := 1.0
	if k.Keys > 0 {
		ratio = float64(k.Fresh) / float64(k.Keys)
	}
	l.fresh.Set(ratio)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
