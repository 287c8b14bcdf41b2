// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/wake"
)

const (
	probeInterval = time.Second
	probeTimeout  = 3 * time.Second
	minProbePause = 100 * time.Millisecond
	maxProbePause = 5 * time.Second
	// maxDemotedPause is the longest between two tries while the address leads to a
	// replica: a failover is over in a moment.
	maxDemotedPause = 2 * time.Second
	minRedialPause  = time.Second
)

// monitor probes the server, again and again.
func (s *server) monitor(ctx context.Context) {
	for pause := minProbePause; ctx.Err() == nil; {
		if s.probe(ctx) {
			pause = minProbePause
			s.wantProbe.Wait(ctx, probeInterval)
			_ = wake.Sleep(ctx, minProbePause)
		} else {
			_ = wake.Sleep(ctx, pause)
			longest := maxProbePause
			if s.elsewhere.Load() {
				longest = maxDemotedPause
			}
			pause = min(2*pause, longest)
		}
	}
}

// redial has all connections made anew if the address may mean another server by
// now: at once, and then at intervals.
func (s *server) redial() (did bool) {
	if !s.elsewhere.Load() || time.Since(s.redialled) < minRedialPause {
		return false
	}
	s.elsewhere.Store(false)
	s.redialled = time.Now()
	s.eng.opts.Log.Info("connecting anew: this address may mean another Redis by now", "address", s.Address)
	s.rdb.Redial()
	return true
}

// probe says whether the server is up, and has it listed when it comes or comes
// back.
func (s *server) probe(ctx context.Context) (up bool) {
	redialled := s.redial()
	probing, cancel := context.WithTimeout(ctx, probeTimeout)
	runID, status := redisconn.Probe(probing, s.rdb)
	cancel()
	status = s.Hint(status)
	switch {
	case ctx.Err() != nil:
		return false
	case status.Reason != redisconn.Connected:
		s.ails(status)
		return false
	}
	s.answers(ctx, runID, status, redialled)
	return true
}

// ails takes in that the server is not up.
func (s *server) ails(status redisconn.Status) {
	if status.Demoted() {
		s.elsewhere.Store(true)
	}
	s.erred(status.Reason)
	s.change(func() {
		s.probed = status
		s.serving.Store(false)
	})
}

// answers takes in that the server is up, and which run of it.
func (s *server) answers(ctx context.Context, runID string, status redisconn.Status, redialled bool) {
	another := s.run() != "" && runID != s.run()
	if another && !redialled {
		s.rdb.Redial() // the other connections, subscriptions too, may lead to the former one
	}
	came := !s.up() || another
	if came {
		for _, l := range s.attached() {
			_ = l.wait(ctx, func() { l.startOver(runID) }) // before anybody is told that it is back
		}
	}
	s.change(func() {
		s.probed, s.runID = status, runID
		s.serving.Store(true)
		if redialled && s.refusal.Demoted() {
			s.refusing.Store(false)
		}
		s.mute.Store(s.mute.Load() && !came)
	})
	if came {
		s.wantList.Set()
	}
}

// run is the server's run ID, which changes with a restart.
func (s *server) run() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runID
}
