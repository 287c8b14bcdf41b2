// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package rebuild

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/pacing"
	"github.com/keepfresh/keepfresh/internal/refresher/store"
)

func TestWhatRedisSaysDecidesWhetherToLoad(t *testing.T) {
	const load = Outcome("")
	lease := &guard.Lease{}
	for what, c := range map[string]struct {
		kept bool
		job  Job
		a    guard.Acquisition
		want Outcome
	}{
		"somebody else holds the guard":           {false, Job{}, guard.Acquisition{TTL: time.Second, Type: "string"}, Held},
		"even of a key that is asked for":         {true, Job{Token: "now"}, guard.Acquisition{TTL: guard.Missing, Type: "none"}, Held},
		"the key is due":                          {false, Job{}, guard.Acquisition{Lease: lease, TTL: 30 * time.Second, Type: "string"}, load},
		"it is not due any more":                  {false, Job{}, guard.Acquisition{Lease: lease, TTL: 100 * time.Second, Type: "string"}, NotDue},
		"it is not due, but asked for":            {false, Job{Token: "now"}, guard.Acquisition{Lease: lease, TTL: 100 * time.Second, Type: "string"}, load},
		"it is due, but was just loaded":          {false, Job{LoadedRecently: true}, guard.Acquisition{Lease: lease, TTL: 30 * time.Second, Type: "string"}, NotDue},
		"it was just loaded, but is asked for":    {false, Job{LoadedRecently: true, Token: "now"}, guard.Acquisition{Lease: lease, TTL: 30 * time.Second, Type: "string"}, load},
		"an application's key is gone":            {false, Job{}, guard.Acquisition{Lease: lease, TTL: guard.Missing, Type: "none"}, Gone},
		"it is gone, though asked for":            {false, Job{Token: "now"}, guard.Acquisition{Lease: lease, TTL: guard.Missing, Type: "none"}, Gone},
		"a kept key is gone":                      {true, Job{}, guard.Acquisition{Lease: lease, TTL: guard.Missing, Type: "none"}, load},
		"a kept key is gone that was just loaded": {true, Job{LoadedRecently: true}, guard.Acquisition{Lease: lease, TTL: guard.Missing, Type: "none"}, load},
		"it is no string":                         {false, Job{}, guard.Acquisition{Lease: lease, TTL: time.Second, Type: "hash"}, Ignored},
		"it is no string, though asked for":       {true, Job{Token: "now"}, guard.Acquisition{Lease: lease, TTL: time.Second, Type: "hash"}, Ignored},
		"it has no expiry":                        {false, Job{}, guard.Acquisition{Lease: lease, TTL: guard.NoExpiry, Type: "string"}, Ignored},
		"it has no expiry, though asked for":      {true, Job{Token: "now"}, guard.Acquisition{Lease: lease, TTL: guard.NoExpiry, Type: "string"}, Ignored},
		"it expires now":                          {false, Job{}, guard.Acquisition{Lease: lease, TTL: 0, Type: "string"}, load},
		"it expired between two answers":          {false, Job{}, guard.Acquisition{Lease: lease, TTL: time.Millisecond, Type: "none"}, Gone},
		"a kept one expired between them":         {true, Job{}, guard.Acquisition{Lease: lease, TTL: time.Millisecond, Type: "none"}, load},
	} {
		t.Run(what, func(t *testing.T) {
			c.job.Key = "product:1"
			b := &Batch{set: &Settings{Kept: c.kept, Timing: pacing.NewTiming(100*time.Second, 60*time.Second, 6*time.Second)}}
			if got := b.decide(c.job, c.a); got.Outcome != c.want {
				t.Errorf("%q, want %q", got.Outcome, c.want)
			}
		})
	}
}

// Keys that failed are asked for with fewer others, which are no worse than they are.
func TestACallHoldsKeysThatMayBeAskedForTogether(t *testing.T) {
	var due []*acquired
	count, want := CallCount{}, 0
	for i := range 40 {
		k := &acquired{Result: Result{Job: Job{MaxBatch: 16 >> (i % 5)}}}
		if due = append(due, k); count.Add(k.MaxBatch) {
			want++
		}
	}
	calls, keys := intoCalls(due), 0
	for _, call := range calls {
		keys += len(call)
		for _, k := range call {
			if k.MaxBatch != call[0].MaxBatch || len(call) > k.MaxBatch {
				t.Errorf("a key that may be asked for with %d others is in a call of %d", k.MaxBatch-1, len(call))
			}
		}
	}
	if keys != 40 || len(calls) != want {
		t.Errorf("%d keys in %d calls, want 40 in %d", keys, len(calls), want)
	}
}

func TestKeysThatFailedTogetherShareTheirCall(t *testing.T) {
	one, other := &loader.Error{}, &loader.Error{}
	calls := failedCalls([]loader.Result{{Err: one}, {Err: one}, {}, {Err: other}})
	if len(calls) != 2 || calls[one] == nil || calls[one] == calls[other] {
		t.Errorf("%d calls for two errors", len(calls))
	}
}

// What a failure says goes into the status: it must not differ from one try to the
// next, as ports of our own do, or the status is written for nothing.
func TestAFailureOfRedisIsToldInTheSameWordsEachTime(t *testing.T) {
	at := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
	b := &Batch{by: New(nil, nil)}
	defer b.by.Close()
	var told []string
	for _, port := range []int{40001, 40002} {
		broken := &net.OpError{Op: "read", Net: "tcp", Source: at(port), Addr: at(6379), Err: os.NewSyscallError("read", syscall.EHOSTUNREACH)}
		told = append(told, b.redisFailed(deafNode{}, Result{Job: Job{Key: "product:1"}}, broken).Failure.Message)
	}
	if told[0] != told[1] {
		t.Errorf("it is told as %q", told)
	}
}

// deafNode takes in that something failed.
type deafNode struct{ store.Node }

func (deafNode) Failed(error) {}
