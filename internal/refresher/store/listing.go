// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"slices"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/wake"
)

const (
	// MinListPause is the shortest time between the beginnings of two listings.
	MinListPause = time.Second
	maxListPause = 5 * time.Minute
	// listingsPerLife is how many listings there are in the time in which a new key
	// becomes stale, where it is not heard of.
	listingsPerLife = 2
	// gatherPolicies lets policies that begin together share one listing.
	gatherPolicies = 100 * time.Millisecond
)

// list reads all keys through whenever that is asked for, and at intervals.
func (s *Server) list(ctx context.Context) {
	var began time.Time
	for ctx.Err() == nil {
		s.wantList.Wait(ctx, max(MinListPause, s.listInterval()-time.Since(began)))
		_ = wake.Sleep(ctx, gatherPolicies)
		if ctx.Err() != nil || !s.up() {
			continue // when it comes up, it asks for a listing
		}
		s.subscribe(ctx)
		s.wantList.Clear()
		began = time.Now()
		err := s.listOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			s.took.Store(int64(time.Since(began)))
		}
		s.change(func() {
			s.unlisted = redisconn.Status{}
			if redisconn.IsReply(err) {
				s.unlisted = redisconn.Classify(err)
			}
		})
		if err != nil {
			s.countError(redisconn.Classify(err).Reason)
			s.wantProbe.Set()
			s.Log.Info("listing failed", "address", s.Config.Address, "error", err.Error())
			_ = wake.Sleep(ctx, MinListPause)
			s.wantList.Set()
		}
	}
}

// listInterval is from the beginning of a listing to that of the next, unless one
// takes longer: short enough for a new key to be found before it is due. Where new keys
// are heard of anyway, it is short enough for a key that was not heard of, or too early,
// to be found before it is stale. Deletions may not be heard of: kept keys are looked at.
func (s *Server) listInterval() time.Duration {
	interval, heard := maxListPause, s.watch.Status().Heard()
	for _, sub := range s.store.attached() {
		of := sub.Interest()
		if heard && of.Events && !of.kept() {
			interval = min(interval, of.StaleAge)
		} else {
			interval = min(interval, of.StaleAge/listingsPerLife)
		}
	}
	return interval
}

// listOnce reads all keys of all subscribers through.
func (s *Server) listOnce(ctx context.Context) (err error) {
	l := Listing{Number: s.Number(), Node: s.name(), Run: s.run(), Holds: s.holds()}
	for _, node := range s.store.topology.Servers() {
		l.Nodes = append(l.Nodes, node.name())
	}
	subs := s.store.attached()
	defer func() {
		l.Failed = err != nil || s.run() != l.Run
		for _, sub := range subs {
			sub.ListingEnded(l)
		}
	}()
	var index keyspace.Index[Subscriber]
	for _, sub := range subs {
		sub.ListingBegan(l.Number)
		of := sub.Interest()
		if !of.kept() {
			index.Add(of.Template, sub)
			continue
		}
		err := discover.Inspect(ctx, s.rdb, s.held(of.Keys, l.Holds), func(found []discover.Found) error {
			sub.Found(found, l.Number)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if index.Len() > 0 {
		return s.scan(ctx, &index, l.Number)
	}
	return nil
}

// holds says which keys are this server's; nil for all.
func (s *Server) holds() func(key string) bool {
	if len(s.store.topology.Servers()) == 1 {
		return nil
	}
	return func(key string) bool { return s.store.topology.ServerOf(key) == s }
}

// held are those of the keys that this server holds.
func (s *Server) held(keys []string, holds func(string) bool) []string {
	if holds == nil {
		return keys
	}
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !holds(key) })
}

// scan lists all keys once for all subscribers, and tells each of its own.
func (s *Server) scan(ctx context.Context, index *keyspace.Index[Subscriber], number uint64) error {
	owner := func(key string) Subscriber {
		for _, sub := range index.Find(key) {
			return sub
		}
		return nil
	}
	wanted := func(key string) bool { return owner(key) != nil }
	return discover.Scan(ctx, s.rdb, index.Pattern(), wanted, func(found []discover.Found) error {
		shares := map[Subscriber][]discover.Found{}
		for _, f := range found {
			sub := owner(f.Key)
			shares[sub] = append(shares[sub], f)
		}
		for sub, share := range shares {
			sub.Found(share, number)
		}
		return nil
	})
}
