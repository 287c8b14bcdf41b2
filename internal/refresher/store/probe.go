// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

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
func (s *Server) monitor(ctx context.Context) {
	for pause := minProbePause; ctx.Err() == nil; {
		if s.probe(ctx) {
			pause = minProbePause
			s.wantProbe.Wait(ctx, probeInterval)
			_ = wake.Sleep(ctx, minProbePause)
			continue
		}
		_ = wake.Sleep(ctx, pause)
		longest := maxProbePause
		if s.elsewhere.Load() {
			longest = maxDemotedPause
		}
		pause = min(2*pause, longest)
	}
}

// redial has all connections replaced if the address may mean another server by
// now: at once, and then at intervals.
func (s *Server) redial() (did bool) {
	if !s.elsewhere.Load() || time.Since(s.redialled) < minRedialPause {
		return false
	}
	s.elsewhere.Store(false)
	s.redialled = time.Now()
	s.Log.Info("connecting anew: this address may mean another Redis by now", "address", s.Config.Address)
	s.rdb.Redial()
	return true
}

// probe says whether the server is up, and has it listed when it comes or comes
// back.
func (s *Server) probe(ctx context.Context) (up bool) {
	redialled := s.redial()
	probing, cancel := context.WithTimeout(ctx, probeTimeout)
	runID, status := redisconn.Probe(probing, s.rdb)
	cancel()
	status = s.Config.Hint(status)
	switch {
	case ctx.Err() != nil:
		return false
	case status.Reason != redisconn.Connected:
		s.isDown(status)
		return false
	}
	s.isUp(ctx, runID, status, redialled)
	return true
}

func (s *Server) isDown(status redisconn.Status) {
	if status.Demoted() {
		s.elsewhere.Store(true)
	}
	s.countError(status.Reason)
	s.change(func() {
		s.probed = status
		s.serving.Store(false)
	})
}

// isUp takes in that the server is up, and which run of it.
func (s *Server) isUp(ctx context.Context, runID string, status redisconn.Status, redialled bool) {
	another := s.run() != "" && runID != s.run()
	if another && !redialled {
		s.rdb.Redial() // the other connections, subscriptions too, may lead to the former one
	}
	came := !s.up() || another
	if came {
		for _, sub := range s.store.attached() { // before anybody is told that it is back
			sub.NodeCameUp(ctx, s.name(), runID)
		}
	}
	s.change(func() {
		s.probed, s.runID = status, runID
		s.serving.Store(true)
		if redialled && s.refusal.Demoted() {
			s.refusing.Store(false)
		}
		s.hidesReads.Store(s.hidesReads.Load() && !came)
	})
	if came {
		s.wantList.Set()
	}
}
