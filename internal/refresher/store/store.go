// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package store is a Redis that policies share, reached in one way. A store has nodes,
// each of which holds a part of the keys; probe, listing, key events, clock, scripts and
// transactions belong to a node. Today there is one topology, a standalone server, which
// is a store of one node.
//
//	Redis ──► Server   a node: client, guard and committer
//	  │         ├──► probe:   is it up, and which run of it?
//	  │         ├──► listing: which keys are there?        ──► Subscribers
//	  │         └──► watch:   which are new, gone, missed? ──► Subscribers
//	  └──► samples, each 10 s                              ──► Subscribers
//
// Whoever rebuilds keys sees a Store and its Nodes, and need not know how many there are.
package store

import (
	"context"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/discover"
	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// Store is what a keyspace's keys lie in. It is safe for concurrent use.
type Store interface {
	// NodeOf is the node that holds a key.
	NodeOf(key string) Node

	// Up says that some node serves; without one, no rebuild is to begin.
	Up() bool

	// Status is Connected if all nodes serve, else why one does not.
	Status() redisconn.Status

	// Memory is what the nodes say of their memory.
	Memory() Memory

	// Inspect reads the TTLs of keys.
	Inspect(ctx context.Context, keys []string, yield func([]discover.Found) error) error

	// CountReads counts those of the keys that somebody has read since they were
	// written, and those that nobody has.
	CountReads(ctx context.Context, keys []discover.Found, expire time.Duration) (read, unread int)

	// Failed takes in the error of Inspect.
	Failed(err error)

	// Relist asks for a listing of all nodes.
	Relist()

	// Use keeps the connections open for n more users, which are rebuilds and samples
	// under way. Done ends the use of n of them.
	Use(n int)
	Done(n int)
}

// Node is one server of a Store, as rebuilds see it.
type Node interface {
	// Acquire tries to take the guards of keys, as guard.Guard has it.
	Acquire(ctx context.Context, keys []string, holdFor time.Duration) ([]guard.Acquisition, error)

	// Commit ends rebuilds. It does not wait for that: the owners are told.
	Commit(commits ...Commit)

	// Failed takes in the error of a command: one that was refused counts until Served is
	// called, and another has the node probed at once.
	Failed(err error)

	// Served says that a rebuild was written.
	Served()
}

// Memory is what Redis says of its memory.
type Memory struct {
	Evicted int64  // keys in the last minute, of whatever kind; negative if it does not tell
	Limit   string // maxmemory, as in "4.00M"
	Policy  string // maxmemory-policy, as in "allkeys-lru"
}

// Subscriber is a keyspace whose keys lie in a Redis. It is told of them by other
// goroutines, in no order but that of one listing.
type Subscriber interface {
	// Interest is what it wants to be told of. It may change at any time; Relist makes a
	// change known.
	Interest() Interest

	// Policy names its policy. An error of Redis counts once for each policy.
	Policy() string

	// ListingBegan says that a node's keys are about to be read. Numbers grow.
	ListingBegan(number uint64)

	// Found tells what Redis said of keys at a listing.
	Found(found []discover.Found, number uint64)

	// ListingEnded says that all keys of a node were read, or that the listing failed.
	ListingEnded(l Listing)

	// Heard takes in events, and returns the keys of which Redis is to be asked. It waits
	// for the subscriber; an error means that it did not answer before the end of ctx.
	Heard(ctx context.Context, events []watch.Event) (ask []string, err error)

	// Told tells what Redis said of the keys that Heard asked for.
	Told(found []discover.Found)

	// Sample has it compare some of its keys with Redis, and returns how many.
	Sample() int64

	// NodeCameUp says that a node serves again, perhaps as another run. It waits for the
	// subscriber until the end of ctx.
	NodeCameUp(ctx context.Context, node, run string)

	// RedisFailed counts an error of Redis.
	RedisFailed(why redisconn.Reason)

	// RedisChanged says that the status of Redis is another.
	RedisChanged()

	// EventsChanged says that the status of key events is another. It must not block.
	EventsChanged()
}

// Interest is what a keyspace wants to be told of.
type Interest struct {
	Template *keyspace.Template
	Keys     []string // all keys that there are; nil if they have to be found

	// StaleAge is the age at which a key is stale: a new one is to be found before.
	StaleAge time.Duration

	Events    bool // key events are to be listened to
	Misses    bool // those of misses too
	Configure bool // and Redis may be configured to send them
}

// kept says that all keys are known.
func (i Interest) kept() bool { return i.Keys != nil }

// Listing is one reading of all keys of one node.
type Listing struct {
	Number uint64
	Node   string // its name
	Run    string // the run ID of the server that was read

	// Holds says whether a key belongs to the node; nil means that all do.
	Holds func(key string) bool

	// Nodes names all nodes of the store.
	Nodes []string

	// Failed says that it ended early, or went over to another run of the server: keys
	// that it did not see may be there.
	Failed bool
}
