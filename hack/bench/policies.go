// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/controllers"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

const (
	policyCount   = 1000
	keyspaceCount = 10
	keysEach      = 10 // in a keyspace

	// heartbeat is how often the operator writes a status that stays the same. All
	// rounds together are longer, so that each policy's is in one of them.
	heartbeat = 3 * time.Minute
)

// policies runs the whole operator, in this process, beside a real API server.
var policies = benchmark{
	rows: map[string]bar{"policies_cpu_percent": {5, false}},
	run: func(ctx context.Context, s *stage) (map[string]measured, error) {
		ctrl.SetLogger(logr.Discard())
		env := &envtest.Environment{CRDDirectoryPaths: []string{os.Getenv("BENCH_CRDS")}, ErrorIfCRDPathMissing: true}
		conf, err := env.Start()
		if err != nil {
			return nil, fmt.Errorf("start an API server (make bench gets one): %w", err)
		}
		defer func() { _ = env.Stop() }()
		conf.QPS = -1
		if err := s.seedPolicies(ctx); err != nil {
			return nil, err
		}
		c, err := s.declarePolicies(ctx, conf)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				fmt.Println("bench: the operator ended:", err)
			}
		}()
		go func() { ended <- operate(ctx, conf) }()
		if err := awaitReady(ctx, c); err != nil {
			return nil, err
		}
		found, err := percents(ctx, heartbeat/(rounds-1))
		if err != nil {
			return nil, err
		}
		return map[string]measured{"policies_cpu_percent": {median(found), "% of a core, from when all are Ready on"}}, nil
	},
}

func (s *stage) seedPolicies(ctx context.Context) error {
	for i := range policyCount {
		p := s.redis.Pipeline()
		for j := range keyspaceCount {
			for k := range keysEach {
				p.Set(ctx, fmt.Sprintf("app-%d:kind-%d:%d", i, j, k), "value", lifetime)
			}
		}
		if _, err := p.Exec(ctx); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	return nil
}

func (s *stage) declarePolicies(ctx context.Context, conf *rest.Config) (client.Client, error) {
	c, err := client.New(conf, client.Options{Scheme: scheme()})
	if err != nil {
		return nil, err
	}
	for i := range policyCount {
		policy := &cachev1alpha1.CachePolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("app-%d", i)}}
		policy.Spec.Redis.Addresses = []string{s.addr}
		policy.Spec.Expire = &cachev1alpha1.Duration{Duration: lifetime}
		for j := range keyspaceCount {
			policy.Spec.Keyspaces = append(policy.Spec.Keyspaces, cachev1alpha1.Keyspace{
				Name: fmt.Sprintf("kind-%d", j), Key: fmt.Sprintf("app-%d:kind-%d:{id}", i, j),
				Loader: cachev1alpha1.Loader{HTTP: &cachev1alpha1.HTTPLoader{URL: s.loader + "/{id}"}},
			})
		}
		if err := c.Create(ctx, policy); err != nil {
			return nil, fmt.Errorf("create a policy: %w", err)
		}
	}
	return c, nil
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(cachev1alpha1.AddToScheme(s))
	return s
}

// operate is the operator, without what main adds of flags and probes.
func operate(ctx context.Context, conf *rest.Config) error {
	mgr, err := ctrl.NewManager(conf, ctrl.Options{
		Scheme: scheme(), Client: controllers.ClientOptions(), Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	wakeups := &controllers.Wakeups{}
	engine := refresher.New(refresher.Options{OnChange: wakeups.Notify, Log: slog.New(slog.DiscardHandler)})
	defer engine.Close(ctx)
	r := &controllers.CachePolicyReconciler{
		Client: mgr.GetClient(), Engine: engine, Events: mgr.GetEventRecorder("keepfresh"), Wakeups: wakeups,
	}
	if err := r.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func awaitReady(ctx context.Context, c client.Client) error {
	for began := time.Now(); ; time.Sleep(time.Second) {
		var list cachev1alpha1.CachePolicyList
		if err := c.List(ctx, &list); err != nil {
			return err
		}
		ready := 0
		for i := range list.Items {
			if apimeta.IsStatusConditionTrue(list.Items[i].Status.Conditions, cachev1alpha1.ConditionReady) {
				ready++
			}
		}
		if ready == policyCount {
			fmt.Printf("bench:   all policies were Ready after %s\n", time.Since(began).Round(time.Second))
			return nil
		}
		if time.Since(began) > 5*time.Minute {
			return fmt.Errorf("after 5 minutes %d of %d policies are Ready", ready, policyCount)
		}
	}
}
