// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	crelection "sigs.k8s.io/controller-runtime/pkg/leaderelection"
)

// electionName is that of the Lease, and of its series in the metrics.
const electionName = "keepfresh.cache.keepfresh.dev"

// Election chooses, of several replicas, the leader: the one that writes to the
// API server. All of them refresh, so that none has to wait for the end of
// another's lease, nor has to end because its own cannot be renewed.
//
// A manager's own election, in contrast, starts the controllers on the leader
// only, and ends the process when the lease is lost.
type Election struct {
	lock  resourcelock.Interface
	lease time.Duration // how long a leader that is not heard of stays so
	renew time.Duration // how long a leader tries to renew that
	retry time.Duration

	mu    sync.Mutex
	until time.Time // this replica leads
	began []func(context.Context)
}

// NewElection prepares an election, to be added to the manager. It is held in
// the namespace, or in the Pod's own if that is empty.
func NewElection(mgr ctrl.Manager, namespace string) (*Election, error) {
	e := &Election{lease: 15 * time.Second, renew: 10 * time.Second, retry: 2 * time.Second}
	lock, err := crelection.NewResourceLock(mgr.GetConfig(), mgr, crelection.Options{
		LeaderElection:          true,
		LeaderElectionID:        electionName,
		LeaderElectionNamespace: namespace,
		RenewDeadline:           e.renew,
	})
	if err != nil {
		return nil, err
	}
	e.lock = timedLock{lock, e}
	return e, nil
}

// Leads says whether this replica leads. One without an election does.
func (e *Election) Leads() bool {
	if e == nil {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Now().Before(e.until)
}

// onLead has f called whenever this replica becomes the leader, once the
// manager's caches are filled.
func (e *Election) onLead(f func(context.Context)) {
	if e != nil {
		e.began = append(e.began, f)
	}
}

// Start takes part in the election until ctx ends, and gives up the lease then.
// When it is lost, it is tried for again.
func (e *Election) Start(ctx context.Context) error {
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Name: electionName, Lock: e.lock, ReleaseOnCancel: true,
			LeaseDuration: e.lease, RenewDeadline: e.renew, RetryPeriod: e.retry,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					for _, f := range e.began {
						f(ctx)
					}
				},
				OnStoppedLeading: func() { e.leads(time.Time{}) },
			},
		})
		if err != nil {
			return fmt.Errorf("take part in the election of a leader: %w", err)
		}
		elector.Run(ctx)
	}
	return nil
}

// NeedLeaderElection is false: it is no work of the leader's.
func (e *Election) NeedLeaderElection() bool { return false }

func (e *Election) leads(until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.until = until
}

// timedLock keeps the time until which the lease is this replica's. The elector
// tells of a loss too late: only after it has tried to give up what it lost.
type timedLock struct {
	resourcelock.Interface
	election *Election
}

// Create takes a lease that nobody had before.
func (l timedLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(record, func() error { return l.Interface.Create(ctx, record) })
}

// Update takes the lease, renews it, or gives it up.
func (l timedLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(record, func() error { return l.Interface.Update(ctx, record) })
}

func (l timedLock) write(record resourcelock.LeaderElectionRecord, write func() error) error {
	mine, began := record.HolderIdentity == l.Identity(), time.Now()
	if !mine {
		l.election.leads(time.Time{})
	}
	err := write()
	if err == nil && mine {
		l.election.leads(began.Add(l.election.lease)) // others count from later on
	}
	return err
}
