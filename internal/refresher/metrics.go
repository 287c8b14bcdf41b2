// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are labelled by policy and keyspace, never by key.
type metrics struct {
	loads    *prometheus.CounterVec
	rebuilds *prometheus.CounterVec
	duration *prometheus.HistogramVec
	lag      *prometheus.HistogramVec
	gone     *prometheus.CounterVec
	keys     *prometheus.GaugeVec
	fresh    *prometheus.GaugeVec
	queue    *prometheus.GaugeVec
	all      []vector
}

// vector is a metric whose series can be dropped by label.
type vector interface {
	prometheus.Collector
	DeletePartialMatch(prometheus.Labels) int
}

var labels = []string{"namespace", "policy", "keyspace"}

func newMetrics(r prometheus.Registerer) *metrics {
	with := func(more ...string) []string { return append(append([]string{}, labels...), more...) }
	seconds := prometheus.ExponentialBuckets(0.001, 2, 16)
	m := &metrics{
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "keepfresh_loads_total",
			Help: "Loads that ended, by result: ok, or the reason of the failure."}, with("result")),
		rebuilds: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "keepfresh_rebuilds_total",
			Help: "Rebuilds that ended, by outcome; held is contention for the guard."}, with("outcome")),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "keepfresh_load_duration_seconds",
			Help: "How long loads took, failed ones too.", Buckets: seconds}, labels),
		lag: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "keepfresh_refresh_lag_seconds",
			Help: "How long after it had become stale a key was refreshed; 0 if it was still fresh.", Buckets: seconds}, labels),
		gone: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "keepfresh_keys_expired_total",
			Help: "Tracked keys that expired before they could be refreshed."}, labels),
		keys: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "keepfresh_keys",
			Help: "Tracked keys by state: fresh, stale or missing; and ignored ones."}, with("state")),
		fresh: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "keepfresh_fresh_ratio",
			Help: "The share of tracked keys that are fresh; 1 without keys."}, labels),
		queue: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "keepfresh_queue_depth",
			Help: "Keys that are due and wait for a loader's slot."}, labels),
	}
	m.all = []vector{m.loads, m.rebuilds, m.duration, m.lag, m.gone, m.keys, m.fresh, m.queue}
	if r != nil {
		for _, c := range m.all {
			r.MustRegister(c)
		}
	}
	return m
}

// laneMetrics are the metrics of one keyspace.
type laneMetrics struct {
	loads, rebuilds *prometheus.CounterVec
	duration, lag   prometheus.Observer
	gone            prometheus.Counter
	keys            *prometheus.GaugeVec
	fresh, queue    prometheus.Gauge
}

func (m *metrics) lane(id ID, keyspace string) *laneMetrics {
	l := prometheus.Labels{labels[0]: id.Namespace, labels[1]: id.Name, labels[2]: keyspace}
	return &laneMetrics{
		loads: m.loads.MustCurryWith(l), rebuilds: m.rebuilds.MustCurryWith(l),
		duration: m.duration.With(l), lag: m.lag.With(l), gone: m.gone.With(l),
		keys: m.keys.MustCurryWith(l), fresh: m.fresh.With(l), queue: m.queue.With(l),
	}
}

// forget drops all series of a keyspace.
func (m *metrics) forget(id ID, keyspace string) {
	for _, v := range m.all {
		v.DeletePartialMatch(prometheus.Labels{labels[0]: id.Namespace, labels[1]: id.Name, labels[2]: keyspace})
	}
}

func (l *laneMetrics) observe(r result) {
	l.rebuilds.WithLabelValues(string(r.outcome)).Inc()
	if r.took == 0 {
		return
	}
	l.duration.Observe(r.took.Seconds())
	result := "ok"
	if r.failure != nil {
		result = r.failure.Reason
	}
	l.loads.WithLabelValues(result).Inc()
}

func (l *laneMetrics) late(lag time.Duration) { l.lag.Observe(lag.Seconds()) }

func (l *laneMetrics) expired() { l.gone.Inc() }

func (l *laneMetrics) show(k KeyspaceSnapshot, queued int) {
	l.keys.WithLabelValues("fresh").Set(float64(k.Fresh))
	l.keys.WithLabelValues("stale").Set(float64(k.Stale))
	l.keys.WithLabelValues("missing").Set(float64(k.Missing))
	l.keys.WithLabelValues("ignored").Set(float64(k.Ignored))
	ratio := 1.0
	if k.Keys > 0 {
		ratio = float64(k.Fresh) / float64(k.Keys)
	}
	l.fresh.Set(ratio)
	l.queue.Set(float64(queued))
}
