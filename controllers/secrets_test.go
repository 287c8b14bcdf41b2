// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// vault is an API server with Secrets, which counts how often one is read.
type vault struct {
	client.Reader
	secrets map[string]*corev1.Secret
	reads   int
	down    error
}

func (v *vault) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	found := v.secrets[key.Name]
	if found == nil {
		return apierrors.NewNotFound(corev1.Resource("secrets"), key.Name)
	}
	switch into := into.(type) {
	case *metav1.PartialObjectMetadata:
		into.ObjectMeta = found.ObjectMeta
	case *corev1.Secret:
		if v.down != nil {
			return v.down
		}
		v.reads++
		found.DeepCopyInto(into)
	}
	return nil
}

func (v *vault) put(name, version, token string) {
	s := secretOf(map[string]string{"token": token})
	s.Name, s.UID, s.ResourceVersion = name, types.UID(name), version
	v.secrets[name] = s
}

func TestSecretCache(t *testing.T) {
	v := &vault{secrets: map[string]*corev1.Secret{}}
	cache := newSecretCache(v, v, nil)
	refersTo := func(name string) *cachev1alpha1.CachePolicy {
		return catalog(func(p *cachev1alpha1.CachePolicy) {
			p.Spec.Keyspaces[0].Loader.HTTP.Headers = []cachev1alpha1.HTTPHeader{headerFrom("Authorization", name, "token")}
		})
	}
	expect := func(what string, p *cachev1alpha1.CachePolicy, token string, reads int) {
		t.Helper()
		found, err := cache.of(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := found.value(secretNames(p)[0], "token"); got != token || v.reads != reads {
			t.Errorf("%s: %q after %d reads; want %q after %d", what, got, v.reads, token, reads)
		}
	}

	expect("a Secret that does not exist is not read", refersTo("a"), "", 0)
	v.put("a", "1", "one")
	expect("a Secret is read", refersTo("a"), "one", 1)
	expect("a Secret that has not changed is not read again", refersTo("a"), "one", 1)
	v.put("a", "2", "two")
	expect("a Secret that has changed is read again", refersTo("a"), "two", 2)
	v.put("a", "3", "three")
	v.down = errors.New("unreachable")
	if found, err := cache.of(t.Context(), refersTo("a")); !errors.Is(err, v.down) || asProblem(err) != nil {
		t.Errorf("an API server that does not answer is no problem of the policy's: %v, %v", found, err)
	}
	v.down = nil
	expect("it is read when the API server answers again", refersTo("a"), "three", 3)
	delete(v.secrets, "a")
	expect("a Secret that is deleted is not there any more", refersTo("a"), "", 3)

	v.put("a", "4", "four")
	v.put("b", "1", "other")
	expect("a Secret that is made again is read again", refersTo("a"), "four", 4)
	expect("a policy may refer to another", refersTo("b"), "other", 5)
	if held := cache.held[client.ObjectKeyFromObject(catalog())]; len(held) != 1 || held["b"] == nil {
		t.Errorf("a Secret that is not referred to is held: %v", secretNames(refersTo("b")))
	}
	cache.selector = labels.SelectorFromSet(labels.Set{"use": "yes"})
	expect("a Secret without the labels that policies may use is as good as none", refersTo("a"), "", 6)
	v.secrets["b"].Labels, v.secrets["b"].ResourceVersion = map[string]string{"use": "yes"}, "2"
	expect("one that has them may be used", refersTo("b"), "other", 7)
	cache.forget(client.ObjectKeyFromObject(catalog()))
	if len(cache.held) != 0 {
		t.Error("the Secrets of a policy that is gone are held")
	}
}
