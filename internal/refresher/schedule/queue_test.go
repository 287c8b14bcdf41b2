// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"math/rand/v2"
	"slices"
	"testing"
)

type item struct{ at, index int }

func newQueue() *Queue[*item] {
	return New(func(a, b *item) bool { return a.at < b.at }, func(i *item, index int) { i.index = index })
}

func TestAnEmptyQueueHasNoFirstItem(t *testing.T) {
	if _, ok := newQueue().Peek(); ok {
		t.Fatal("Peek found an item in an empty queue")
	}
}

// Any sequence of pushes, moves and removals leaves the queue with exactly the
// items it should have, and in order.
func TestItemsComeOutInOrderAfterAnyMoves(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		q, in := newQueue(), map[*item]bool{}
		for range 300 {
			switch pick := anyOf(in); {
			case pick == nil || rnd.IntN(2) == 0:
				i := &item{at: rnd.IntN(50)}
				q.Push(i)
				in[i] = true
			case rnd.IntN(2) == 0:
				pick.at = rnd.IntN(50)
				q.Fix(pick.index)
			default:
				q.Remove(pick.index)
				delete(in, pick)
				if pick.index != -1 {
					t.Fatalf("seed %d: a removed item still says that it stands at %d", seed, pick.index)
				}
			}
		}
		var want, got []int
		for i := range in {
			want = append(want, i.at)
		}
		slices.Sort(want)
		for q.Len() > 0 {
			first, _ := q.Peek()
			popped := q.Pop()
			if popped != first {
				t.Fatalf("seed %d: Pop and Peek disagree", seed)
			}
			got = append(got, popped.at)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: got %v, want %v", seed, got, want)
		}
	}
}

func anyOf(in map[*item]bool) *item {
	for i := range in {
		return i
	}
	return nil
}
