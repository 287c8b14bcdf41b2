// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// existingKeys is how many keys the application puts into Redis of each keyspace
// whose source is existing.
const existingKeys = 300

// samples is config/samples, and what the demo must bring for them to work. It
// is read from the manifests, so that these remain the one place to change.
type samples struct {
	objects  []*unstructured.Unstructured
	redis    string // address
	database int
	password string
	catalog  string // address
	routes   []route
	existing []appKey // of keyspaces whose source is existing
	kept     []appKey // of the others
}

// route is a part of the catalog service, and the headers that it demands.
type route struct {
	path    string // up to the first placeholder
	headers map[string]string
}

// appKey is a key that the application reads, and sets when it misses it.
type appKey struct {
	name       string
	expire     time.Duration
	staleAfter time.Duration // its age from which on it is no longer fresh
}

func readSamples() (*samples, error) {
	objects, err := readManifests(samplesFolder)
	if err != nil {
		return nil, err
	}
	return parseSamples(objects)
}

func parseSamples(objects []*unstructured.Unstructured) (*samples, error) {
	s := &samples{objects: objects}
	secrets := map[string]map[string]string{}
	var policies []*cachev1alpha1.CachePolicy
	for _, object := range objects {
		if object.GetNamespace() == "" {
			object.SetNamespace(namespace)
		}
		switch object.GetKind() {
		case "Secret":
			secrets[object.GetName()] = secretData(object)
		case "CachePolicy":
			policy := &cachev1alpha1.CachePolicy{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, policy); err != nil {
				return nil, fmt.Errorf("sample %s: %w", object.GetName(), err)
			}
			policies = append(policies, policy)
		}
	}
	for _, policy := range policies {
		if err := s.add(policy, secrets); err != nil {
			return nil, fmt.Errorf("sample %s: %w", policy.Name, err)
		}
	}
	if len(s.existing)+len(s.kept) == 0 {
		return nil, fmt.Errorf("there is no CachePolicy with keys in %s", samplesFolder)
	}
	return s, nil
}

func secretData(object *unstructured.Unstructured) map[string]string {
	var secret corev1.Secret
	_ = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &secret)
	data := secret.StringData
	if data == nil {
		data = map[string]string{}
	}
	encoded, _, _ := unstructured.NestedStringMap(object.Object, "data")
	for name, value := range encoded {
		if plain, err := base64.StdEncoding.DecodeString(value); err == nil {
			data[name] = string(plain)
		}
	}
	return data
}

func (s *samples) add(policy *cachev1alpha1.CachePolicy, secrets map[string]map[string]string) error {
	redis := &policy.Spec.Redis
	if err := agree(&s.redis, redis.Addresses[0], "Redis"); err != nil {
		return err
	}
	s.database = int(redis.Database)
	if redis.Auth != nil {
		s.password = secrets[redis.Auth.SecretRef.Name]["password"]
	}
	for i := range policy.Spec.Keyspaces {
		keyspace := &policy.Spec.Keyspaces[i]
		address, err := url.Parse(keyspace.Loader.HTTP.URL)
		if err != nil {
			return err
		}
		if err := agree(&s.catalog, address.Host, "loader"); err != nil {
			return err
		}
		path, _, _ := strings.Cut(address.Path, "{")
		s.routes = append(s.routes, route{path: path, headers: headersOf(keyspace, secrets)})
		staleAfter, err := keyspace.EffectiveDueAfter(&policy.Spec)
		if err != nil {
			return err
		}
		s.addKeys(keyspace, appKey{expire: keyspace.EffectiveExpire(&policy.Spec), staleAfter: staleAfter})
	}
	return nil
}

// agree keeps the one address that the demo will serve.
func agree(have *string, want, what string) error {
	if *have != "" && *have != want {
		return fmt.Errorf("the demo runs one %s, but the samples name %s and %s", what, *have, want)
	}
	*have = want
	return nil
}

func headersOf(keyspace *cachev1alpha1.Keyspace, secrets map[string]map[string]string) map[string]string {
	headers := map[string]string{}
	for _, h := range keyspace.Loader.HTTP.Headers {
		switch {
		case h.Value != nil:
			headers[h.Name] = *h.Value
		case h.ValueFrom != nil && h.ValueFrom.SecretKeyRef != nil:
			headers[h.Name] = secrets[h.ValueFrom.SecretKeyRef.Name][h.ValueFrom.SecretKeyRef.Key]
		}
	}
	return headers
}

var placeholder = regexp.MustCompile(`\{\+?\w+\}`)

// addKeys adds the keys of a keyspace, which are like key but for their names.
func (s *samples) addKeys(keyspace *cachev1alpha1.Keyspace, key appKey) {
	if keyspace.Source != nil && len(keyspace.Source.Keys) > 0 {
		for _, key.name = range keyspace.Source.Keys {
			s.kept = append(s.kept, key)
		}
		return
	}
	var keys []appKey
	for i := range existingKeys {
		key.name = placeholder.ReplaceAllString(keyspace.Key, strconv.Itoa(1001+i))
		keys = append(keys, key)
	}
	s.existing = append(s.existing, slices.Compact(keys)...) // one, if there is no placeholder
}
