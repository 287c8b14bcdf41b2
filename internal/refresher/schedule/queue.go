// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schedule orders the keys of a keyspace: by the time at which each
// should be looked at again, and, once they are due, by how soon Redis would
// lose them.
//
// A schedule only reminds. That a key is due here means "ask Redis"; whether
// anything is loaded is decided by what Redis answers.
package schedule

import "container/heap"

// Queue is a priority queue whose items can be moved and removed. It is a
// binary heap that tells each item where it stands. The zero Queue is not
// usable: make one with New. A Queue is not safe for concurrent use.
type Queue[T any] struct{ h indexed[T] }

// New returns an empty queue. less orders the items, the least comes first;
// place is told an item's new index whenever it moves, and -1 when it leaves.
func New[T any](less func(a, b T) bool, place func(item T, index int)) *Queue[T] {
	return &Queue[T]{indexed[T]{less: less, place: place}}
}

// Len is the number of items.
func (q *Queue[T]) Len() int { return len(q.h.items) }

// Push adds an item. It must not be in the queue.
func (q *Queue[T]) Push(item T) { heap.Push(&q.h, item) }

// Fix restores the order after the item at index has changed.
func (q *Queue[T]) Fix(index int) { heap.Fix(&q.h, index) }

// Remove takes out the item at index.
func (q *Queue[T]) Remove(index int) { heap.Remove(&q.h, index) }

// Peek returns the least item, and false if there is none.
func (q *Queue[T]) Peek() (T, bool) {
	if len(q.h.items) == 0 {
		var none T
		return none, false
	}
	return q.h.items[0], true
}

// Pop takes out the least item. It panics if there is none.
func (q *Queue[T]) Pop() T { return heap.Pop(&q.h).(T) }

type indexed[T any] struct {
	items []T
	less  func(a, b T) bool
	place func(item T, index int)
}

func (h *indexed[T]) Len() int           { return len(h.items) }
func (h *indexed[T]) Less(i, j int) bool { return h.less(h.items[i], h.items[j]) }

func (h *indexed[T]) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.place(h.items[i], i)
	h.place(h.items[j], j)
}

func (h *indexed[T]) Push(x any) {
	item := x.(T)
	h.items = append(h.items, item)
	h.place(item, len(h.items)-1)
}

func (h *indexed[T]) Pop() any {
	last := len(h.items) - 1
	item := h.items[last]
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	h.place(item, -1)
	return item
}
