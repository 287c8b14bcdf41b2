// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kinds "k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/keepfresh/keepfresh/config/crd"
	"github.com/keepfresh/keepfresh/internal/plugin/admission"
	"github.com/keepfresh/keepfresh/internal/plugin/admission/admissiontest"
	"github.com/keepfresh/keepfresh/internal/plugin/manifest"
)

// Every field of the samples is changed in every way, and each time the API
// server and this package have to say the same. The cases of api/v1alpha1 are
// compared in that package's own tests.
func TestTheVerdictIsTheServers(t *testing.T) {
	server, rules := start(t), load(t)
	t.Run("whatever is changed in the samples", func(t *testing.T) { compareMutations(t, server, rules) })
	t.Run("with the same defaults", func(t *testing.T) { compareDefaults(t, server, rules) })
}

func compareMutations(t *testing.T, server client.Client, rules *admission.Rules) {
	refused, taken := 0, 0
	for _, sample := range samples(t) {
		for _, m := range mutations(sample.Object) {
			if err := admissiontest.Agree(t.Context(), server, rules, m.object); err != nil {
				t.Errorf("%s: %v", m.what, err)
			}
			if v, err := rules.Check(t.Context(), m.object); err != nil || len(v.Unknown)+len(v.Invalid) > 0 {
				refused++
			} else {
				taken++
			}
		}
	}
	t.Logf("%d manifests refused, %d taken", refused, taken)
	if refused < 300 || taken < 100 {
		t.Errorf("%d manifests refused, %d taken: too few to say anything", refused, taken)
	}
}

func compareDefaults(t *testing.T, server client.Client, rules *admission.Rules) {
	for _, sample := range samples(t) {
		there := sample.Object.DeepCopy()
		there.SetNamespace("default")
		if err := server.Create(t.Context(), there, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		here, err := rules.Check(t.Context(), sample.Object)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(here.Object.Object["spec"]), fmt.Sprint(there.Object["spec"]); got != want {
			t.Errorf("%s: %s, the server makes it %s", sample.File, got, want)
		}
	}
}

func TestOnlyOwnKindsAreKnown(t *testing.T) {
	rules := load(t)
	for kind, known := range map[string]bool{"CachePolicy": true, "KeyExplanation": true, "Other": false} {
		if got := rules.Knows(kinds.GroupVersionKind{Group: "cache.keepfresh.dev", Version: "v1alpha1", Kind: kind}); got != known {
			t.Errorf("%s is known: %v", kind, got)
		}
	}
	if rules.Knows(kinds.GroupVersionKind{Group: "cache.keepfresh.dev", Version: "v1", Kind: "CachePolicy"}) {
		t.Error("a version that does not exist is known")
	}
	if !rules.KnowsGroup("cache.keepfresh.dev") || rules.KnowsGroup("apps") {
		t.Error("a group is taken for another")
	}
}

// mutation is a manifest with one change.
type mutation struct {
	what   string
	object *unstructured.Unstructured
}

// replacements stand in for every value, and additions are put into every object.
var replacements = map[string]any{
	"null": nil, "an empty string": "", "a word": "word", "a number": int64(7), "a negative number": int64(-1),
	"a huge number": int64(1 << 40), "a fraction": 1.5, "true": true, "an object": map[string]any{"a": "b"}, "an empty object": map[string]any{},
	"a list": []any{"a"}, "an empty list": []any{}, "a long string": strings.Repeat("a", 5000), "a duration": "90s", "half a second": "500ms", "a day": "1d",
	"a percentage": "100%", "a template": "x:{id}", "braces": "x:{", "spaces": " x ", "a line break": "a\nb", "a url": "http://h/{id}", "ftp": "ftp://h/",
	"letters beyond ASCII": "schlüssel", "capitals": "ABC",
}

func mutations(object *unstructured.Unstructured) []mutation {
	out := []mutation{{"nothing", named(object)}}
	for _, path := range paths(nil, object.Object) {
		where := strings.Join(path, ".")
		if slices.Contains([]string{"apiVersion", "kind", "metadata", "metadata.namespace"}, where) {
			continue // it would be a request to another place
		}
		for what, value := range replacements {
			out = append(out, changed(object, where+" is "+what, path, func(parent any, step string) { put(parent, step, value) }))
		}
		out = append(out,
			changed(object, where+" is taken out", path, take),
			changed(object, where+" has a field beside it that nobody knows", path, func(parent any, _ string) { put(parent, "nobodyKnowsMe", "x") }),
			changed(object, where+" is there twice", path, double))
	}
	return out
}

func named(object *unstructured.Unstructured) *unstructured.Unstructured {
	o := object.DeepCopy()
	o.SetNamespace("default")
	return o
}

func changed(object *unstructured.Unstructured, what string, path []string, change func(parent any, step string)) mutation {
	o := named(object)
	var parent any = o.Object
	for _, step := range path[:len(path)-1] {
		parent = get(parent, step)
	}
	change(parent, path[len(path)-1])
	return mutation{what, o}
}

func paths(above []string, value any) (out [][]string) {
	below := func(step string, v any) {
		path := append(append([]string{}, above...), step)
		out = append(append(out, path), paths(path, v)...)
	}
	switch v := value.(type) {
	case map[string]any:
		for name, one := range v {
			below(name, one)
		}
	case []any:
		for i, one := range v {
			below(strconv.Itoa(i), one)
		}
	}
	return out
}

func get(parent any, step string) any {
	if list, ok := parent.([]any); ok {
		i, _ := strconv.Atoi(step)
		return list[i]
	}
	return parent.(map[string]any)[step]
}

func put(parent any, step string, value any) {
	switch p := parent.(type) {
	case map[string]any:
		p[step] = value
	case []any:
		if i, err := strconv.Atoi(step); err == nil {
			p[i] = value
		}
	}
}

func take(parent any, step string) {
	if p, ok := parent.(map[string]any); ok {
		delete(p, step)
	}
}

// double has a list's item twice, in place of the next or of the first.
func double(parent any, step string) {
	if p, ok := parent.([]any); ok {
		i, _ := strconv.Atoi(step)
		p[(i+1)%len(p)] = p[i]
	}
}

func samples(t *testing.T) (found []manifest.Document) {
	t.Helper()
	files, err := manifest.Find(filepath.Join("..", "..", "..", "config", "samples"), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		documents, err := manifest.Read(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range documents {
			if d.Err != nil {
				t.Fatal(d.Err)
			}
			if d.Object.GetKind() == "CachePolicy" {
				found = append(found, d)
			}
		}
	}
	if len(found) < 2 {
		t.Fatalf("%d samples", len(found))
	}
	return found
}

func load(t *testing.T) *admission.Rules {
	t.Helper()
	rules, err := admission.Load(crd.Bases, "bases/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func start(t *testing.T) client.Client {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver: use make test, or make envtest and set it to what that prints")
	}
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Stop() })
	config.QPS = -1
	server, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// The CRD may be known a moment before it is served.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, s := range samples(t)[:1] {
		for server.Create(ctx, named(s.Object), client.DryRunAll) != nil && ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
	return server
}
