// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspaceworker"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// What a host reads, and package keyspaceworker makes.
type (
	// Explanation is what is known of one key at one moment.
	Explanation = keyspaceworker.Explanation
	// KeyState is how a key stands.
	KeyState = keyspaceworker.KeyState
	// KeyOutcome is how the last rebuild of a key ended.
	KeyOutcome = keyspaceworker.KeyOutcome
)

// The states of keys.
const (
	KeyFresh   = keyspaceworker.KeyFresh
	KeyStale   = keyspaceworker.KeyStale
	KeyMissing = keyspaceworker.KeyMissing
	KeyIgnored = keyspaceworker.KeyIgnored
	KeyUnknown = keyspaceworker.KeyUnknown
)

// Explain tells what is known of a key, and false if no keyspace of the policy
// that is at work has it. It changes nothing, in Redis or in the schedule, and
// waits no longer than ctx.
func (e *Engine) Explain(ctx context.Context, id ID, key string) (Explanation, bool) {
	w, s := e.workerOf(id, key)
	if w == nil {
		return Explanation{}, false
	}
	defer s.Done(1)
	at := time.Now()
	return w.Explain(ctx, key, s.Look(ctx, key), at), true
}

// workerOf is the worker that a key belongs to, and its store, which is in use until its
// Done is called.
func (e *Engine) workerOf(id ID, key string) (*keyspaceworker.Worker, *sharedStore) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.policies[id]
	if p == nil {
		return nil, nil
	}
	for _, w := range p.workers {
		if w.Assignment().Template.Matches(key) {
			p.store.Use(1)
			return w, p.store
		}
	}
	return nil, nil
}

// Description is what a keyspace alone says of a key.
type Description struct {
	Params []Param
	loader.Request
}

// Param is a placeholder and what it stands for.
type Param struct{ Name, Value string }

// Describe takes a key apart by a keyspace's template, and tells what its loader would
// be asked for. Where the key does not match, the error says why.
func Describe(template string, kind loader.Kind, key string) (Description, error) {
	t, err := keyspace.Parse(template)
	if err != nil {
		return Description{}, err
	}
	values, ok := t.Match(key, nil)
	if !ok {
		return Description{}, mismatch(t, key)
	}
	var out Description
	for i, name := range t.Names() {
		out.Params = append(out.Params, Param{name, values[i]})
	}
	source, err := kind.Open(t, loader.Environment{})
	if err != nil {
		out.Problem = err.Error()
		return out, nil
	}
	defer source.Close()
	out.Request = source.Describe(key)
	return out, nil
}

// Reserved says that a key is one of Keepfresh's own.
func Reserved(key string) bool { return strings.HasPrefix(key, keyspace.Reserved) }

// mismatch says why a key does not match a template.
func mismatch(t *keyspace.Template, key string) error {
	if !strings.HasPrefix(key, t.Prefix()) {
		return fmt.Errorf("the key does not begin with %q", t.Prefix())
	}
	if wide, err := keyspace.Parse(widened(t.String())); err == nil && wide.Matches(key) {
		return fmt.Errorf("a placeholder {name} stands for no colon; {+name} would")
	}
	return fmt.Errorf("what stands between or behind the placeholders is different, or nothing is left for one of them")
}

// widened is a template with {+name} for each {name}.
func widened(template string) string {
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		b.WriteByte(template[i])
		if template[i] != '{' {
			continue
		}
		i++ // the template has been parsed: a brace is not the last character
		if template[i] != '{' && template[i] != '+' {
			b.WriteByte('+')
		}
		b.WriteByte(template[i])
	}
	return b.String()
}
