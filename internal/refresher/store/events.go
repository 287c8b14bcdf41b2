// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// subscribe sets what is to be heard of, and returns when that is heard of, or
// cannot be, so that a listing which begins then misses nothing.
func (s *Server) subscribe(ctx context.Context) {
	var interests []watch.Interest
	var index keyspace.Index[Subscriber]
	for _, sub := range s.store.attached() {
		if of := sub.Interest(); of.Events {
			index.Add(of.Template, sub)
			interests = append(interests, watch.Interest{Prefix: of.Template.Prefix(), Misses: of.Misses, Configure: of.Configure})
		}
	}
	s.listeners.Store(&index)
	s.watch.Watch(interests)
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	s.watch.Ready(ctx)
}

// heard takes in key events. They are hints: what Redis says of a key counts.
func (s *Server) heard(ctx context.Context, events []watch.Event) {
	shares := map[Subscriber][]watch.Event{}
	for _, e := range events {
		for _, sub := range s.listeners.Load().Find(e.Key) {
			shares[sub] = append(shares[sub], e)
			break
		}
	}
	for sub, share := range shares {
		ask, err := sub.Heard(ctx, share)
		if err != nil || len(ask) == 0 {
			continue
		}
		err = discover.Inspect(ctx, s.rdb, ask, func(found []discover.Found) error {
			sub.Told(found)
			return nil
		})
		if err != nil && ctx.Err() == nil {
			s.Failed(err)
			s.wantList.Set() // it will find them
		}
	}
}
