// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"sync"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
)

const (
	// maxScriptBytes bounds the values of one script, unless one alone is larger.
	maxScriptBytes = 1 << 20
	// maxScripts is how many scripts are on their way at once.
	maxScripts = 8
)

// Commit is the end of a rebuild: what is to become of its guard and its key, and who is
// told what became of it.
type Commit struct {
	guard.Settlement
	Owner Owner
	Item  any // the owner's own; it is handed back
}

// Owner is told what became of its commits: of those that went together, all at once. It
// must be comparable.
type Owner interface{ Committed(done []Committed) }

// Committed is what became of a Commit.
type Committed struct {
	Item any
	guard.Settled
}

// Committer ends rebuilds on one node, in scripts of as many as end at about the same
// time. One that ends alone goes at once; while it is on its way, others gather, so that
// a script grows with the load and costs nobody time. It is the node's, since the keys of
// one script lie together. Set Guard before its use.
type Committer struct {
	Guard *guard.Guard

	mu      sync.Mutex
	queue   []Commit
	memory  []Commit // the queue's array, for its reuse when it is empty
	running int      // scripts on their way
}

// Commit ends rebuilds, without waiting for that.
func (c *Committer) Commit(commits ...Commit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue = append(c.queue, commits...); cap(c.queue) > cap(c.memory) {
		c.memory = c.queue[:0]
	}
	if len(c.queue) > 0 && (c.running == 0 || c.running < maxScripts && len(c.queue) >= guard.MaxSettle) {
		c.running++
		go c.run()
	}
}

func (c *Committer) run() {
	for some := c.next(nil); len(some) > 0; some = c.next(some[:0]) {
		c.send(some)
	}
}

// next appends to some what goes into one script; nothing ends a run.
func (c *Committer) next(some []Commit) []Commit {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, bytes := 0, 0
	for n < min(len(c.queue), guard.MaxSettle) {
		if bytes += len(c.queue[n].Value); n > 0 && bytes > maxScriptBytes {
			break
		}
		n++
	}
	if n == 0 {
		c.running--
	}
	some = append(some, c.queue[:n]...)
	clear(c.queue[:n])
	if c.queue = c.queue[n:]; len(c.queue) == 0 {
		c.queue = c.memory[:0]
	}
	return some
}

func (c *Committer) send(some []Commit) {
	all := make([]guard.Settlement, len(some))
	for i, commit := range some {
		all[i] = commit.Settlement
	}
	done := make(map[Owner][]Committed, 1)
	for i, did := range c.Guard.Settle(context.Background(), all) {
		owner := some[i].Owner
		if done[owner] == nil {
			done[owner] = make([]Committed, 0, len(some)-i)
		}
		done[owner] = append(done[owner], Committed{some[i].Item, did})
	}
	for owner, its := range done {
		owner.Committed(its)
	}
}
