// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// policy has a keyspace for each template, named k0, k1 and so on.
func policy(templates ...string) *cachev1alpha1.CachePolicy {
	p := &cachev1alpha1.CachePolicy{}
	p.Spec.Expire = &cachev1alpha1.Duration{Duration: time.Minute}
	for i, t := range templates {
		p.Spec.Keyspaces = append(p.Spec.Keyspaces, cachev1alpha1.Keyspace{Name: fmt.Sprintf("k%d", i), Key: t})
	}
	return p
}

func TestFindings(t *testing.T) {
	kept := policy("p:{id}")
	kept.Spec.Keyspaces[0].Source = &cachev1alpha1.Source{Keys: []string{"p:1", "p:1:2"}}
	tight := policy("p:{id}", "q:{id}")
	tight.Spec.Keyspaces[1].Expire = &cachev1alpha1.Duration{Duration: 10 * time.Second}
	for sentence, test := range map[string]struct {
		find   func(*cachev1alpha1.CachePolicy) []Finding
		policy *cachev1alpha1.CachePolicy
		want   []Finding
	}{
		"templates apart do not conflict": {Conflicts, policy("p:{id}", "q:{id}", "p:{id}:x"), nil},
		"of each pair the later keyspace is named": {Conflicts, policy("p:{+rest}", "q:{id}", "p:{id}"),
			[]Finding{{2, `keyspaces "k0" and "k2" can hold the same key; change one of the templates`}}},
		"what is no template conflicts with nothing": {Conflicts, policy("p:{", "p:{"), nil},
		"a key to be kept matches its template": {Strays, kept,
			[]Finding{{0, `keyspace "k0": the source key "p:1:2" does not match the template "p:{id}"`}}},
		"without such keys there is nothing to match":      {Strays, policy("p:{id}"), nil},
		"the guard timeout leaves time, where expire does": {TightGuards, policy("p:{id}"), nil},
		"the guard timeout leaves no time": {TightGuards, tight,
			[]Finding{{1, `keyspace "k1": guardTimeout 6s is not less than the 3.8s between a key's being due and its expiry`}}},
	} {
		if got := test.find(test.policy); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v", sentence, got)
		}
	}
}

// Each reconciliation asks for conflicts.
func BenchmarkConflicts(b *testing.B) {
	var templates []string
	for i := range 32 {
		templates = append(templates, fmt.Sprintf("keyspace%02d:{id}:of:{locale}", i))
	}
	p := policy(templates...)
	for b.Loop() {
		if len(Conflicts(p)) > 0 {
			b.Fatal("none of them conflicts")
		}
	}
}
