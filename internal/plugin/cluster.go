// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// cluster is an API server, and the namespace that is meant there.
type cluster struct {
	client.WithWatch
	namespace string
}

// connect reads the kubeconfig and the flags. It asks the API server nothing yet.
func (p *plugin) connect() (*cluster, error) {
	config, err := p.flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	config.UserAgent = "kubectl-cachepolicy/" + buildVersion()
	namespace, _, err := p.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(cachev1alpha1.AddToScheme(scheme), appsv1.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	return &cluster{WithWatch: c, namespace: namespace}, nil
}

// policy reads a policy.
func (c *cluster) policy(ctx context.Context, name string) (*cachev1alpha1.CachePolicy, error) {
	policy := &cachev1alpha1.CachePolicy{}
	return policy, c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, policy)
}

// follow keeps a copy of some policies: those of a namespace, or of all if it is
// empty; one of them, if there is a name. It returns how to read the copy, and a
// channel that tells of changes. What fails on the way is tried again: heard is
// called with the error, and with nil once the API server answers.
func (c *cluster) follow(ctx context.Context, namespace, name string, heard func(error)) (read func() []cachev1alpha1.CachePolicy, changed <-chan struct{}) {
	changes := make(chan struct{}, 1)
	notify := func() {
		select {
		case changes <- struct{}{}:
		default:
		}
	}
	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: c.listWatch(namespace, name, heard),
		ObjectType:    &cachev1alpha1.CachePolicy{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notify() },
			UpdateFunc: func(any, any) { notify() },
			DeleteFunc: func(any) { notify() },
		},
	})
	go informer.RunWithContext(ctx)
	return func() []cachev1alpha1.CachePolicy {
		var out []cachev1alpha1.CachePolicy
		for _, item := range store.List() {
			out = append(out, *item.(*cachev1alpha1.CachePolicy))
		}
		return out
	}, changes
}

// listWatch lists and watches policies, and tells heard how each request went.
func (c *cluster) listWatch(namespace, name string, heard func(error)) *cache.ListWatch {
	scope := func(raw metav1.ListOptions) *client.ListOptions {
		o := &client.ListOptions{Namespace: namespace, Raw: &raw}
		if name != "" {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name)
		}
		return o
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, raw metav1.ListOptions) (runtime.Object, error) {
			list := &cachev1alpha1.CachePolicyList{}
			err := c.List(ctx, list, scope(raw))
			heard(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
			w, err := c.Watch(ctx, &cachev1alpha1.CachePolicyList{}, scope(raw))
			heard(err)
			return w, err
		},
	}
}

// named is how a policy is called in messages.
func (c *cluster) named(name string) string {
	return fmt.Sprintf("cachepolicy %s/%s", c.namespace, name)
}
