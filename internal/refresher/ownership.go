// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspaceworker"
)

// Ownership says which keys are an engine's to refresh, where several share the work. It
// is asked often, from many goroutines. That two engines own a key for a while harms
// nothing: guard and fence hold.
type Ownership interface {
	// Owns says whether a key is this engine's.
	Owns(key string) bool

	// Changed returns a channel that is closed when Owns next answers otherwise. Each
	// change is followed by another channel.
	Changed() <-chan struct{}
}

// owns is nil where all keys are the engine's own.
func (e *Engine) owns() func(key string) bool {
	if e.opts.Ownership == nil {
		return nil
	}
	return e.opts.Ownership.Owns
}

// followOwnership has the keys forgotten that become another engine's, and those found
// that become this one's, until ctx ends.
func (e *Engine) followOwnership(ctx context.Context) {
	for changed := e.opts.Ownership.Changed(); ; {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		changed = e.opts.Ownership.Changed() // before it is asked what it owns: no change is missed
		var workers []*keyspaceworker.Worker
		e.mu.Lock()
		for _, p := range e.policies {
			for _, w := range p.workers {
				workers = append(workers, w)
			}
		}
		for _, s := range e.stores {
			s.Relist()
		}
		e.mu.Unlock()
		for _, w := range workers {
			w.Reconsider()
		}
	}
}
