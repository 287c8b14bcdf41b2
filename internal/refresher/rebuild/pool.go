// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package rebuild

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pool is a pool of workers, which bounds how many loads run at once. A load that finds no
// free worker waits in turn. The zero pool has no workers: resize gives them.
//
// A goroutine that has served a load stays for the next one: a new one would first have
// to grow its stack.
type pool struct {
	turns  *Turns       // of all who share a limit; nil for no such limit
	inTurn bool         // it waits for a turn; Turns.mu guards it
	waited atomic.Int64 // when it last began to; Unix nanoseconds

	mu      sync.Mutex
	free    int           // workers that may begin a load
	limit   int           // loads at once
	queue   []func()      // loads that wait
	resting []chan func() // goroutines that wait for a load, the last to come first
	closed  bool
}

// keepWorker is how long a goroutine waits for another load.
const keepWorker = time.Second

// resize sets how many loads may run at once. Those that run go on.
func (p *pool) resize(limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free += limit - p.limit
	p.limit = limit
	p.start(false)
}

// run calls f, in a goroutine, as soon as a worker is free.
func (p *pool) run(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, f)
	p.start(false)
}

// resume begins one load, for which it is this pool's turn. More have to wait for another
// turn if others do.
func (p *pool) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start(true)
}

// start begins the loads for which there are workers and turns. first says that the first
// turn is this pool's, whoever else waits.
func (p *pool) start(first bool) {
	for ; p.free > 0 && len(p.queue) > 0 && p.turns.take(p, first); first = false {
		p.free--
		f := p.pop()
		if last := len(p.resting) - 1; last >= 0 {
			p.resting[last] <- f
			p.resting = p.resting[:last]
		} else {
			go p.work(f)
		}
	}
}

// work calls one function after the other, until none has come for a while.
func (p *pool) work(f func()) {
	more := make(chan func(), 1)
	patience := time.NewTimer(keepWorker)
	defer patience.Stop()
	for {
		f()
		p.turns.give()
		f = p.next(more)
		if f == nil {
			patience.Reset(keepWorker)
			select {
			case f = <-more:
			case <-patience.C:
				p.dismiss(more)
				f = <-more
			}
		}
		if f == nil {
			return
		}
	}
}

// next is another load. If there is none, or no worker may begin it, it will be sent to
// more; nil ends the goroutine.
func (p *pool) next(more chan func()) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free >= 0 && len(p.queue) > 0 && p.turns.take(p, false) {
		return p.pop()
	}
	p.free++
	if p.closed {
		more <- nil
	} else {
		p.resting = append(p.resting, more)
	}
	return nil
}

// dismiss ends a goroutine, unless a load is on its way to it.
func (p *pool) dismiss(more chan func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.resting, more); i >= 0 {
		p.resting = slices.Delete(p.resting, i, i+1)
		more <- nil
	}
}

// close ends all goroutines that wait for a load. None will come.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, more := range p.resting {
		more <- nil
	}
	p.resting = nil
}

func (p *pool) pop() func() {
	f := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	return f
}
