// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

// BenchmarkAcquireCommit is Redis' share of a rebuild: an operation is one key
// acquired and committed. 64 run at once, as they would beside their loads.
func BenchmarkAcquireCommit(b *testing.B) {
	for _, batch := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("batches of %d", batch), func(b *testing.B) {
			g := New(client(b, redistest.Start(b)), DefaultLease)
			value := make([]byte, 200)
			keys := make([]string, b.N)
			for i := range keys {
				keys[i] = fmt.Sprintf("product:%d", i)
			}
			jobs := make(chan []string)
			var wg sync.WaitGroup
			for range max(1, 64/batch) {
				wg.Go(func() {
					for some := range jobs {
						acquireCommit(b, g, some, value)
					}
				})
			}
			b.ResetTimer()
			for len(keys) > 0 {
				n := min(batch, len(keys))
				jobs <- keys[:n]
				keys = keys[n:]
			}
			close(jobs)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "keys/s")
		})
	}
}

func acquireCommit(b *testing.B, g *Guard, keys []string, value []byte) {
	found, err := g.Acquire(b.Context(), keys, time.Minute)
	if err != nil {
		b.Error(err)
		return
	}
	var wg sync.WaitGroup
	for _, a := range found {
		wg.Go(func() {
			if did, err := a.Lease.Set(b.Context(), value, time.Minute); did != Committed || err != nil {
				b.Errorf("the outcome is %d, error %v", did, err)
			}
		})
	}
	wg.Wait()
}
