// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package keyspace

import "strings"

// Overlap says whether some key matches both templates. The answer is exact.
func Overlap(a, b *Template) bool {
	if !strings.HasPrefix(a.Prefix(), b.Prefix()) && !strings.HasPrefix(b.Prefix(), a.Prefix()) {
		return false
	}
	reserved := ""
	if a.reserved && b.reserved {
		reserved = Reserved
	}
	return overlap(a.steps(), b.steps(), reserved)
}

// A step is what one byte of a key can be at one place of a template: a literal
// byte, or the content of a placeholder, in which case any number of further
// bytes may follow before the next step.
type step struct {
	hole
	literal byte
	isHole  bool
}

// steps returns the template as an automaton: state n means that n steps are
// done, and a byte either does the next step or, if the last one done is a
// placeholder's, repeats that.
func (t *Template) steps() []step {
	var steps []step
	for i, literal := range t.literals {
		for j := range len(literal) {
			steps = append(steps, step{literal: literal[j]})
		}
		if i < len(t.holes) {
			steps = append(steps, step{isHole: true, hole: t.holes[i]})
		}
	}
	return steps
}

// moves returns the states that one byte may lead to from state n, each with the
// step that the byte has to suit. There are none, one or two.
func moves(steps []step, n int) (to [2]int, by [2]step, count int) {
	if n < len(steps) {
		to[count], by[count] = n+1, steps[n]
		count++
	}
	if n > 0 && steps[n-1].isHole {
		to[count], by[count] = n, steps[n-1]
		count++
	}
	return to, by, count
}

// product walks through all pairs of states that the two automata can reach
// with the same key, and at the same time along the reserved prefix, because
// a key that has it matches neither.
type product struct {
	a, b     []step
	reserved string
	seen     []bool
	todo     []place
}

// place is a state of the product. free says that the key differs from the
// reserved prefix; until then, read is how many of its bytes were read.
type place struct {
	a, b, read int
	free       bool
}

func overlap(a, b []step, reserved string) bool {
	p := &product{a: a, b: b, reserved: reserved}
	p.seen = make([]bool, (len(a)+1)*(len(b)+1)*(len(reserved)+1))
	p.visit(place{free: reserved == ""})
	for len(p.todo) > 0 {
		at := p.todo[len(p.todo)-1]
		p.todo = p.todo[:len(p.todo)-1]
		if at.a == len(a) && at.b == len(b) {
			return true
		}
		p.leave(at)
	}
	return false
}

// leave visits every place that one more byte leads to.
func (p *product) leave(at place) {
	toA, byA, countA := moves(p.a, at.a)
	toB, byB, countB := moves(p.b, at.b)
	for i := range countA {
		for j := range countB {
			p.move(at, place{a: toA[i], b: toB[j]}, byA[i], byB[j])
		}
	}
}

// move visits to if some byte suits both steps, and follows the reserved prefix.
func (p *product) move(at, to place, a, b step) {
	if at.free {
		if to.free = true; meet(a, b) {
			p.visit(to)
		}
		return
	}
	next := p.reserved[at.read]
	if differ(a, b, next) {
		free := to
		free.free = true
		p.visit(free)
	}
	to.read = at.read + 1
	if a.suits(next) && b.suits(next) && to.read < len(p.reserved) {
		p.visit(to)
	}
}

// visit remembers a place to go on from, once.
func (p *product) visit(at place) {
	layer := 0
	if !at.free {
		layer = 1 + at.read
	}
	index := (layer*(len(p.a)+1)+at.a)*(len(p.b)+1) + at.b
	if !p.seen[index] {
		p.seen[index] = true
		p.todo = append(p.todo, at)
	}
}

// suits says whether the byte c can do the step.
func (s step) suits(c byte) bool {
	if s.isHole {
		return s.takes(c)
	}
	return s.literal == c
}

// meet says whether some byte suits both steps.
func meet(a, b step) bool {
	switch {
	case !a.isHole:
		return b.suits(a.literal)
	case !b.isHole:
		return a.suits(b.literal)
	default:
		return true
	}
}

// differ says whether some byte other than c suits both steps.
func differ(a, b step, c byte) bool {
	if a.isHole && b.isHole {
		return true // there are 254 bytes other than c and ':'
	}
	return meet(a, b) && (!a.isHole && a.literal != c || !b.isHole && b.literal != c)
}
