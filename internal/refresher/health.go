// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"fmt"
	"time"
)

// stuckAfter is far longer than a lane may go without measuring itself.
const stuckAfter = 3 * quietMeasure

// Healthy returns an error if a keyspace's loop has stopped turning: a restart
// would help. What is wrong with a Redis or a loader does not count.
func (e *Engine) Healthy() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, p := range e.policies {
		for name, l := range p.lanes {
			if silent := time.Since(l.view.Load().at); silent > stuckAfter {
				return fmt.Errorf("keyspace %q of policy %s has been stuck for %s", name, id, silent.Round(time.Second))
			}
		}
	}
	return nil
}
