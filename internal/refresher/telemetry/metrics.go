// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package telemetry has the engine's Prometheus metrics: their names, labels and help,
// which are a contract with dashboards and alerts, and the series of each keyspace.
package telemetry

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/rebuild"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// Metric describes one of the engine's metrics. Names, labels and their values
// are a contract with dashboards and alerts: they do not change.
type Metric struct {
	Name, Type, Help string
	Labels           []Label
}

// Label is a label of a metric. None ever holds a key.
type Label struct {
	Name   string
	Values []string // all there can be; nil for the name of an object
}

// Describe describes all metrics that New registers.
func Describe() []Metric { return New(nil).described }

var (
	ofPolicy   = []Label{{Name: "namespace"}, {Name: "policy"}}
	ofKeyspace = append(slices.Clip(ofPolicy), Label{Name: "keyspace"})

	stateLabel   = Label{"state", []string{"fresh", "stale", "missing", "ignored"}}
	readLabel    = Label{"read", []string{"yes", "no"}}
	resultLabel  = Label{"result", append([]string{loaded}, words(loader.Reasons)...)}
	outcomeLabel = Label{"outcome", words(rebuild.Outcomes)}
	reasonLabel  = Label{"reason", []string{
		string(redisconn.ConnectionFailed), string(redisconn.AuthenticationFailed), string(redisconn.TLSFailed),
		string(redisconn.PermissionDenied), string(redisconn.VersionUnsupported), string(redisconn.ReadOnly),
		string(redisconn.Loading), string(redisconn.OutOfMemory), string(redisconn.EgressDenied),
	}}
)

// words are values as strings.
func words[T ~string](values []T) (all []string) {
	for _, v := range values {
		all = append(all, string(v))
	}
	return all
}

// loaded is the result of a load that brought a value.
const loaded = "ok"

// The bounds of histograms. Lifetimes are between a second and weeks, so that
// lags are too; the first bound of a lag counts what came in time.
var (
	loadSeconds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}
	lagSeconds  = []float64{0, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800}
)

// Metrics are all series of an engine. Make them with New.
type Metrics struct {
	// What is configured.
	expire, staleAge *prometheus.GaugeVec
	// How the keys are.
	keys, late, lost, fresh, nearest, settled *prometheus.GaugeVec
	// What is done for them.
	required, lead, queue *prometheus.GaugeVec
	rebuilds, loads       *prometheus.CounterVec
	duration, lag         *prometheus.HistogramVec
	expired, sampled      *prometheus.CounterVec
	breaker, brake        *prometheus.GaugeVec
	// Their Redis.
	redisUp, evicted *prometheus.GaugeVec
	redisErrors      *prometheus.CounterVec

	registerer prometheus.Registerer
	described  []Metric
	vectors    []vector // of which described tells, one by one
}

// vector is a metric whose series can be dropped.
type vector interface {
	prometheus.Collector
	Delete(prometheus.Labels) bool
}

// New registers the metrics with r, or with nobody if it is nil.
func New(r prometheus.Registerer) *Metrics {
	m := &Metrics{registerer: r}

	m.expire = m.gauge("keepfresh_expire_seconds",
		"The lifetime that a rebuild gives a key: the keyspace's expire.", ofKeyspace)
	m.staleAge = m.gauge("keepfresh_stale_after_seconds",
		"The age at which a key turns stale: refreshRatio x expire. What is left of its life then is the time in which a late refresh still prevents a miss.", ofKeyspace)

	m.keys = m.gauge("keepfresh_keys",
		"Keys by state. fresh, stale and missing are the tracked ones: stale is older than the refresh ratio but there, missing should exist and does not. "+
			"ignored match the template, but are no strings or have no expiry. There from the first listing of Redis on; "+
			"corrected every 10 s by what Redis says of a random sample of 100 keys.", ofKeyspace, stateLabel)
	m.late = m.gauge("keepfresh_late_keys",
		"Tracked keys that have been stale or missing for longer than a rebuild should take: the lesser of the guard timeout and half of the time between stale and gone. "+
			"A policy with more than 1 % of them is not Fresh.", ofKeyspace)
	m.lost = m.gauge("keepfresh_lost_ratio",
		"The share of tracked keys, from 0 to 1, that are gone before their time at a look: the mean of the last six looks, 10 s apart, where three of them miss more than 5 %, else 0. "+
			"Keys that need not exist count as far as Redis evicts keys. A policy with such keyspaces is not Fresh.", ofKeyspace)
	m.fresh = m.gauge("keepfresh_fresh_ratio",
		"The share of tracked keys that are fresh, from 0 to 1; 1 without keys. There from the first listing of Redis on.", ofKeyspace)
	m.nearest = m.gauge("keepfresh_nearest_expiry_seconds",
		"The remaining life of the tracked key that is to expire first, when it was last counted (every 1 to 10 s). "+
			"It comes near 0 where refreshes come too late. Not there while no key is.", ofKeyspace)
	m.settled = m.gauge("keepfresh_settled",
		"1 once all that was due when Redis was first listed has been tried, else 0: until then, the counts speak of what was found and not of what is kept.", ofKeyspace)

	m.required = m.gauge("keepfresh_required_loads_per_second",
		"The least rate of loads that keeps all tracked keys fresh: their number / keepfresh_stale_after_seconds. "+
			"Where rate(keepfresh_loads_total{result=\"ok\"}) stays below it, and the application does not write the keys itself, keys turn stale.", ofKeyspace)
	m.lead = m.gauge("keepfresh_lead_seconds",
		"By how much keys are looked at before they turn stale, beside jitter: what 99 of 100 rebuilds take, and what keys wait for others that turn stale together. "+
			"At most half of keepfresh_stale_after_seconds.", ofKeyspace)
	m.queue = m.gauge("keepfresh_queue_depth",
		"Keys that are due and wait for their turn: for a loader's slot, its rate limit, its breaker, or for Redis to come back.", ofKeyspace)
	m.rebuilds = m.counter("keepfresh_rebuilds_total",
		"Looks at a key that was thought due, by what came of them. committed: loaded and written. deleted, not_found: the loader does not know the key. "+
			"changed: the application wrote or deleted it during the load, and won. failed: by the loader or by Redis. lost: the guard ended during the load. "+
			"held: another holds the guard (contention: another replica, or an application that takes part). "+
			"not_due: rewritten meanwhile. gone: not there any more. ignored: no string, or no expiry. aborted: the work on the policy ended.", ofKeyspace, outcomeLabel)
	m.loads = m.counter("keepfresh_loads_total",
		"Calls of the loader that ended, by result: ok, or why there is no value. NotFound is an answer (404 or 410), and Canceled says nothing about the loader; "+
			"the others are failures. The reasons are those of status.keyspaces[].lastFailure.", ofKeyspace, resultLabel)
	m.duration = m.histogram("keepfresh_load_duration_seconds",
		"How long calls of the loader took, failed ones too.", loadSeconds, ofKeyspace)
	m.lag = m.histogram("keepfresh_refresh_lag_seconds",
		"How long a key had been stale when its refresh was written; 0 if it was still fresh, so that the bucket le=\"0\" counts the refreshes in time.", lagSeconds, ofKeyspace)
	m.expired = m.counter("keepfresh_expired_keys_total",
		"Tracked keys that reached the end of their life before they were refreshed: misses for readers.", ofKeyspace)
	m.sampled = m.counter("keepfresh_sampled_keys_total",
		"Keys soon to be refreshed (past three quarters of the time to their turning stale) that a random sample met, by whether anybody had read them since they were written. "+
			"The share with read=\"no\" estimates that of wasted refreshes. A sample of up to 100 keys is taken every 10 s. "+
			"Nothing is counted where expire is below some 7 s, where Redis' maxmemory-policy is an LFU one, and for a Redis user without the right to OBJECT.", ofKeyspace, readLabel)
	m.breaker = m.gauge("keepfresh_breaker_open",
		"1 while the breaker is open, else 0: keys fail one after the other, so only one at a time is tried, at growing intervals of up to 5 s.", ofKeyspace)
	m.brake = m.gauge("keepfresh_many_not_found",
		"1 while so many answers say that a key which holds a value is not found (maxNotFoundPercent) that onNotFound: Delete deletes none, else 0.", ofKeyspace)

	m.redisUp = m.gauge("keepfresh_redis_up",
		"1 while the policy's Redis answers and serves listings and writes, else 0: the condition RedisReachable.", ofPolicy)
	m.evicted = m.gauge("keepfresh_redis_evicted_keys",
		"The keys, of whatever kind, that the policy's Redis has evicted in the last minute (evicted_keys of its INFO). Not there where it does not tell.", ofPolicy)
	m.redisErrors = m.counter("keepfresh_redis_errors_total",
		"Rebuilds, samples, listings and probes that the policy's Redis failed or refused, by reason, which is the one of the condition RedisReachable. "+
			"Policies that reach a Redis in the very same way share its errors.", ofPolicy, reasonLabel)
	return m
}

func (m *Metrics) gauge(name, help string, of []Label, more ...Label) *prometheus.GaugeVec {
	opts := prometheus.GaugeOpts{Name: name, Help: help}
	return add(m, prometheus.NewGaugeVec(opts, m.describe(name, "gauge", help, of, more)))
}

func (m *Metrics) counter(name, help string, of []Label, more ...Label) *prometheus.CounterVec {
	opts := prometheus.CounterOpts{Name: name, Help: help}
	return add(m, prometheus.NewCounterVec(opts, m.describe(name, "counter", help, of, more)))
}

func (m *Metrics) histogram(name, help string, buckets []float64, of []Label) *prometheus.HistogramVec {
	opts := prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}
	return add(m, prometheus.NewHistogramVec(opts, m.describe(name, "histogram", help, of, nil)))
}

// describe notes a metric for Metrics, and returns the names of its labels.
func (m *Metrics) describe(name, kind, help string, of, more []Label) (names []string) {
	labels := slices.Concat(of, more)
	m.described = append(m.described, Metric{name, kind, help, labels})
	for _, l := range labels {
		names = append(names, l.Name)
	}
	return names
}

func add[V vector](m *Metrics, v V) V {
	m.vectors = append(m.vectors, v)
	if m.registerer != nil {
		m.registerer.MustRegister(v)
	}
	return v
}

// Forget drops all series of a keyspace; and of its policy, if that is gone too.
// They are named one by one: to look for them would take longer with every
// keyspace that there is.
func (m *Metrics) Forget(k Keyspace, policyToo bool) {
	for i, v := range m.vectors {
		series := prometheus.Labels{"namespace": k.Namespace, "policy": k.Policy}
		values := []string{""}
		var more string
		ofPolicy := true
		for _, l := range m.described[i].Labels {
			switch {
			case l.Name == "keyspace":
				series[l.Name], ofPolicy = k.Name, false
			case l.Values != nil:
				more, values = l.Name, l.Values
			}
		}
		if ofPolicy && !policyToo {
			continue
		}
		for _, value := range values {
			if more != "" {
				series[more] = value
			}
			v.Delete(series)
		}
	}
}
