// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package review says what is wrong with a policy, or not advisable, that the API
// server's rules cannot see. It looks at nothing but the policy.
package review

import (
	"fmt"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/human"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
)

// Finding is something that is wrong, or not advisable.
type Finding struct {
	Keyspace int // its index in the spec
	Message  string
}

// Conflicts are pairs of keyspaces that can hold the same key. A policy with one
// does not come into force. Templates that cannot be parsed conflict with nothing.
func Conflicts(p *cachev1alpha1.CachePolicy) []Finding {
	var out []Finding
	templates := make([]*keyspace.Template, len(p.Spec.Keyspaces))
	for i, b := range p.Spec.Keyspaces {
		templates[i], _ = keyspace.Parse(b.Key)
		for j, a := range p.Spec.Keyspaces[:i] {
			if templates[i] != nil && templates[j] != nil && keyspace.Overlap(templates[j], templates[i]) {
				out = append(out, Finding{i, fmt.Sprintf("keyspaces %q and %q can hold the same key; change one of the templates", a.Name, b.Name)})
			}
		}
	}
	return out
}

// Strays are keys to be kept that do not match their keyspace's template.
func Strays(p *cachev1alpha1.CachePolicy) []Finding {
	var out []Finding
	for i, k := range p.Spec.Keyspaces {
		template, err := keyspace.Parse(k.Key)
		if err != nil || k.Source == nil {
			continue
		}
		for _, key := range k.Source.Keys {
			if !template.Matches(key) {
				out = append(out, Finding{i, fmt.Sprintf("keyspace %q: the source key %q does not match the template %q", k.Name, key, k.Key)})
			}
		}
	}
	return out
}

// TightGuards are the keyspaces in which a slow load may let a key expire, as
// the guard timeout leaves it no time.
func TightGuards(p *cachev1alpha1.CachePolicy) []Finding {
	var out []Finding
	for i := range p.Spec.Keyspaces {
		k := &p.Spec.Keyspaces[i]
		due, err := k.EffectiveDueAfter(&p.Spec)
		if err != nil {
			continue
		}
		if left, guard := k.EffectiveExpire(&p.Spec)-due, k.EffectiveGuardTimeout(&p.Spec); guard >= left {
			out = append(out, Finding{i, fmt.Sprintf("keyspace %q: guardTimeout %s is not less than the %s between a key's being due and its expiry", k.Name, human.Duration(guard), human.Duration(left))})
		}
	}
	return out
}

// TightGuardsRemedy is what to do about TightGuards.
const TightGuardsRemedy = "A slow load may let keys expire: shorten guardTimeout (and the loader's timeout), lengthen expire, or lower refreshRatio"
