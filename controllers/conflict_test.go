// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

// born is a policy of a given age, with a keyspace for each template, named by
// its place: k0, k1...
func born(name string, at time.Time, templates ...string) *cachev1alpha1.CachePolicy {
	return catalog(func(p *cachev1alpha1.CachePolicy) {
		p.Name, p.UID, p.CreationTimestamp = name, types.UID("uid-"+name), metav1.NewTime(at)
		p.Spec.Keyspaces = nil
		for i, template := range templates {
			p.Spec.Keyspaces = append(p.Spec.Keyspaces, keyspaceOf(fmt.Sprintf("k%d", i), template, "http://loader/"))
		}
	})
}

func TestYield(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	earlier, later := noon.Add(-time.Hour), noon.Add(time.Hour)
	me := func() *cachev1alpha1.CachePolicy { return born("me", noon, "product:{id}", "page:{id}") }
	with := func(p *cachev1alpha1.CachePolicy, change func(*cachev1alpha1.CachePolicy)) cachev1alpha1.CachePolicy {
		change(p)
		return *p
	}

	tests := map[string]struct {
		others  []cachev1alpha1.CachePolicy
		keeps   string
		message []string // that each of these is in; no problem if empty
	}{
		"alone, a policy keeps all it claims": {keeps: "k0 k1"},
		"an older policy with other keys takes nothing": {
			others: []cachev1alpha1.CachePolicy{*born("other", earlier, "price:{sku}")}, keeps: "k0 k1",
		},
		"an older policy takes the keyspaces that overlap, and no others": {
			others: []cachev1alpha1.CachePolicy{*born("other", earlier, "price:{sku}", "product:{sku}")}, keeps: "k1",
			message: []string{`keyspace "k0"`, `keyspace "k1" of the older policy shop/other`, "change one of the templates"},
		},
		"an older policy takes what overlaps in part only": {
			others: []cachev1alpha1.CachePolicy{*born("other", earlier, "{+all}:1")}, keeps: "",
			message: []string{`keyspace "k0"`, `keyspace "k1"`},
		},
		"several older policies each take what they claim": {
			others:  []cachev1alpha1.CachePolicy{*born("a", earlier, "product:{id}"), *born("b", earlier, "page:{id}")},
			message: []string{"shop/a", "shop/b"},
		},
		"a younger policy takes nothing": {
			others: []cachev1alpha1.CachePolicy{*born("other", later, "product:{id}")}, keeps: "k0 k1",
		},
		"an older policy that is suspended keeps its claim": {
			others: []cachev1alpha1.CachePolicy{with(born("other", earlier, "product:{id}"), func(p *cachev1alpha1.CachePolicy) { p.Spec.Suspend = true })},
			keeps:  "k1", message: []string{"shop/other"},
		},
		"an older policy that is being deleted has lost its claim": {
			others: []cachev1alpha1.CachePolicy{with(born("other", earlier, "product:{id}"), func(p *cachev1alpha1.CachePolicy) {
				p.DeletionTimestamp = &metav1.Time{Time: noon}
			})},
			keeps: "k0 k1",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := me()
			made, err := makePlan(p, nil)
			if err != nil {
				t.Fatal(err)
			}
			problem := dropClaimed(&made, p, test.others)
			var keeps []string
			for _, k := range made.Keyspaces {
				keeps = append(keeps, k.Name)
			}
			if got := strings.Join(keeps, " "); got != test.keeps {
				t.Errorf("keeps %q, want %q", got, test.keeps)
			}
			if (problem != nil) != (len(test.message) > 0) {
				t.Fatalf("problem: %v", problem)
			}
			for _, part := range test.message {
				if problem.reason != cachev1alpha1.ReasonKeyspaceConflict || !strings.Contains(problem.message, part) {
					t.Errorf("got %s: %s; want it to hold %s", problem.reason, problem.message, part)
				}
			}
		})
	}
}

func TestOlder(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		a, b *cachev1alpha1.CachePolicy
		want bool
	}{
		"the one made first is older":                         {born("z", noon, "x"), born("a", noon.Add(time.Second), "x"), true},
		"the one made later is not":                           {born("a", noon.Add(time.Second), "x"), born("z", noon, "x"), false},
		"of two made in one second, the UID decides":          {born("a", noon, "x"), born("b", noon, "x"), true},
		"of two made in one second, exactly one is the older": {born("b", noon, "x"), born("a", noon, "x"), false},
		"no policy is older than itself":                      {born("a", noon, "x"), born("a", noon, "x"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := older(test.a, test.b); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestSelfConflict(t *testing.T) {
	tests := map[string]struct {
		templates []string
		conflict  bool
	}{
		"templates with different beginnings do not overlap":                 {[]string{"product:{id}", "page:{id}"}, false},
		"templates with a different number of parts do not overlap":          {[]string{"product:{id}", "product:{id}:price"}, false},
		"templates that differ in the placeholder's name are the same":       {[]string{"product:{id}", "product:{sku}"}, true},
		"a template that matches anything overlaps with those that it holds": {[]string{"product:{+all}", "product:{id}:price"}, true},
		"each pair is looked at":                                             {[]string{"a:{x}", "b:{x}", "c:{x}", "b:{y}"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			problem := selfConflict(born("me", time.Time{}, test.templates...))
			if (problem != nil) != test.conflict {
				t.Fatalf("problem: %v", problem)
			}
			if problem != nil && problem.reason != cachev1alpha1.ReasonInvalidSpec {
				t.Errorf("reason %s", problem.reason)
			}
		})
	}
}

func TestEndpoint(t *testing.T) {
	at := func(address string, database int32) string {
		return endpoint(catalog(func(p *cachev1alpha1.CachePolicy) {
			p.Spec.Redis.Addresses, p.Spec.Redis.Database = []string{address}, database
		}))
	}
	if at("redis:6379", 0) != at("REDIS:6379", 0) {
		t.Error("upper and lower case tell two hosts apart")
	}
	if at("redis:6379", 0) == at("redis:6379", 1) || at("redis:6379", 0) == at("redis:6380", 0) {
		t.Error("another database or port is the same endpoint")
	}
	made, err := makePlan(catalog(func(p *cachev1alpha1.CachePolicy) { p.Spec.Redis.Addresses[0] = "REDIS:6379" }), nil)
	if err != nil || fmt.Sprintf("%s/%d", made.Redis.Address, made.Redis.Database) != at("redis:6379", 0) {
		t.Errorf("the engine sees another endpoint: %+v, %v", made.Redis, err)
	}
	if !refresher.Overlap("product:{id}", "product:1") {
		t.Error("a literal key does not overlap with its template")
	}
}

// What policies are found by is written anew with each status: beginnings that
// keyspaces share must not count for each of them.
func TestClaimsAreNamedOnce(t *testing.T) {
	found := claims(born("me", time.Time{}, "ab:{id}", "ac:{id}", "ab:{id}:x", "a{id}"))
	slices.Sort(found)
	var want []string
	for _, begins := range []string{"", "a", "ab", "ab:", "ac", "ac:"} {
		want = append(want, below("redis.shop.svc:6379/0", begins))
	}
	for _, begins := range []string{"a", "ab:", "ac:"} {
		want = append(want, exactly("redis.shop.svc:6379/0", begins))
	}
	if slices.Sort(want); !slices.Equal(found, want) {
		t.Errorf("got %q, want %q", found, want)
	}
}

// The index finds what comparing all with all finds.
func TestOverlapping(t *testing.T) {
	long := strings.Repeat("x", maxBeginning)
	templates := []string{"{+all}", "a{id}", "ab{id}", "abc", "abd:{id}", "b:{id}", "a", long + "{id}", long + "y:{id}", long + "z:{id}"}
	var policies []client.Object
	for i, template := range templates {
		p := born(fmt.Sprintf("p%d", i), time.Unix(int64(i), 0), template, "other:"+template)
		elsewhere := born(fmt.Sprintf("elsewhere%d", i), time.Unix(int64(i), 0), template)
		elsewhere.Spec.Redis.Addresses = []string{"elsewhere:6379"}
		policies = append(policies, p, elsewhere)
	}
	scheme := runtime.NewScheme()
	if err := cachev1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(policies...).
		WithIndex(&cachev1alpha1.CachePolicy{}, claimIndex, func(o client.Object) []string { return claims(o.(*cachev1alpha1.CachePolicy)) }).Build()
	for _, one := range policies {
		p := one.(*cachev1alpha1.CachePolicy)
		var want []string
		for _, another := range policies {
			o := another.(*cachev1alpha1.CachePolicy)
			claimed := slices.ContainsFunc(p.Spec.Keyspaces, func(k cachev1alpha1.Keyspace) bool { _, yes := claim(o, k.Key); return yes })
			if o.UID != p.UID && endpoint(o) == endpoint(p) && claimed {
				want = append(want, o.Name)
			}
		}
		found, err := overlapping(t.Context(), c, p)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range found {
			got = append(got, o.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s with %q: got %v, want %v", p.Name, p.Spec.Keyspaces[0].Key, got, want)
		}
	}
}

func TestOneRedisIsOneEndpointHoweverItIsWritten(t *testing.T) {
	at := func(address string) string {
		p := &cachev1alpha1.CachePolicy{}
		p.Spec.Redis.Addresses = []string{address}
		return endpoint(p)
	}
	for _, address := range []string{"redis.shop.svc.:6379", "Redis.shop.SVC:6379"} {
		if at(address) != at("redis.shop.svc:6379") {
			t.Errorf("%s is taken for another Redis", address)
		}
	}
	if at("redis.shop.svc:6379") == at("redis.shop.svc:6380") {
		t.Error("two ports are one Redis")
	}
}
