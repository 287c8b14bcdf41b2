// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// secretNames are the Secrets that a policy refers to, each once.
func secretNames(p *cachev1alpha1.CachePolicy) []string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if auth := p.Spec.Redis.Auth; auth != nil {
		add(auth.SecretRef.Name)
	}
	if tls := p.Spec.Redis.TLS; tls != nil {
		if tls.CASecretRef != nil {
			add(tls.CASecretRef.Name)
		}
		if tls.CertSecretRef != nil {
			add(tls.CertSecretRef.Name)
		}
	}
	for _, k := range p.Spec.Keyspaces {
		if k.Loader.HTTP == nil {
			continue
		}
		for _, h := range k.Loader.HTTP.Headers {
			if h.ValueFrom != nil && h.ValueFrom.SecretKeyRef != nil {
				add(h.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	return names
}

// secrets are those that one policy refers to, by name.
type secrets map[string]*corev1.Secret

// secretCache reads Secrets, and reads each again only when it has changed. The
// manager's own cache holds no more than the metadata of Secrets, so that the
// operator never has those in memory that no policy at work refers to.
type secretCache struct {
	metadata client.Reader // cached
	live     client.Reader
	selector labels.Selector // all, if nil

	mu   sync.Mutex
	held map[types.NamespacedName]secrets // by policy
}

func newSecretCache(metadata, live client.Reader, selector labels.Selector) *secretCache {
	return &secretCache{metadata: metadata, live: live, selector: selector, held: map[types.NamespacedName]secrets{}}
}

// of returns the Secrets that a policy refers to, as far as they exist, and
// forgets those that it referred to before.
func (c *secretCache) of(ctx context.Context, p *cachev1alpha1.CachePolicy) (secrets, error) {
	policy := client.ObjectKeyFromObject(p)
	c.mu.Lock()
	held := c.held[policy]
	c.mu.Unlock()
	found := secrets{}
	for _, name := range secretNames(p) {
		secret, err := c.get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: name}, held[name])
		if err != nil {
			return nil, err
		}
		if secret != nil {
			found[name] = secret
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[policy] = found
	return found, nil
}

// get returns a Secret, or nil if there is none: the one that is held, if that
// is still the present one.
func (c *secretCache) get(ctx context.Context, name types.NamespacedName, held *corev1.Secret) (*corev1.Secret, error) {
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := c.metadata.Get(ctx, name, meta, client.UnsafeDisableDeepCopy); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("look up Secret %s: %w", name, err)
	}
	if held != nil && held.UID == meta.UID && held.ResourceVersion == meta.ResourceVersion {
		return held, nil
	}
	secret := &corev1.Secret{}
	if err := c.live.Get(ctx, name, secret); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	if c.selector != nil && !c.selector.Matches(labels.Set(secret.Labels)) { // any more
		return nil, nil
	}
	return secret, nil
}

// forget drops the Secrets of a policy that is not at work any more.
func (c *secretCache) forget(policy types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, policy)
}

// value is the value of a key of a Secret.
func (s secrets) value(name, key string) (string, error) {
	secret, ok := s[name]
	if !ok {
		return "", problemf(cachev1alpha1.ReasonSecretNotFound, "there is no Secret %q in this namespace; create it, or correct the reference", name)
	}
	value, ok := secret.Data[key]
	if !ok {
		return "", problemf(cachev1alpha1.ReasonSecretNotFound, "Secret %q has no key %q; add it, or correct the reference", name, key)
	}
	return string(value), nil
}
