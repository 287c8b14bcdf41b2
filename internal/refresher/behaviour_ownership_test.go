// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"hash/fnv"
	"sync"
	"testing"
	"time"
)

// half owns the keys whose hash leaves a rest, or all of them.
type half struct {
	rest uint32

	mu      sync.Mutex
	all     bool
	changed chan struct{}
}

func newHalf(rest uint32) *half { return &half{rest: rest, changed: make(chan struct{})} }

func (h *half) Owns(key string) bool {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(key))
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all || sum.Sum32()%2 == h.rest
}

func (h *half) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

// own has it own all keys, or its half of them.
func (h *half) own(all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = all
	close(h.changed)
	h.changed = make(chan struct{})
}

// The next listing would come in 20 s, and keys become due after 35 s: only the signal
// can be what makes the difference.
func TestAChangeOfOwnershipIsFollowedAtOnce(t *testing.T) {
	t.Parallel()
	const keys = 40
	w := newWorld(t, 0)
	for _, key := range names("product:", keys) {
		w.set(key, "from the application", time.Minute)
	}
	mine := newHalf(0)
	e := w.engine(Options{Ownership: mine})
	w.apply(e, w.plan(w.keyspace(long)))
	eventually(t, "half of the keys are found", 10*time.Second, func() bool { return products(e).Listed })
	before := products(e).Keys
	if before == 0 || before == keys {
		t.Fatalf("%d of %d keys are its own", before, keys)
	}
	mine.own(true)
	eventually(t, "the others are found", 8*time.Second, func() bool { return products(e).Keys == keys })
	mine.own(false)
	eventually(t, "they are let go", 8*time.Second, func() bool { return products(e).Keys == before })
	if n := w.backend.total(); n > 0 {
		t.Errorf("%d loads, though no key was due", n)
	}
}
