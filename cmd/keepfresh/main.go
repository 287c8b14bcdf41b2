// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Command keepfresh is the operator: it watches CachePolicies, keeps the keys
// that they declare fresh in Redis, and reports in their status.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/redis/go-redis/v9"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/controllers"
	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/refresher"
	"github.com/keepfresh/keepfresh/internal/version"
)

// The election of a leader, which is told in events of the core group:
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;create;update,namespace=keepfresh-system
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch,namespace=keepfresh-system

const (
	// stopTimeout is how long the manager may take to stop after SIGTERM, and
	// drainTimeout how long loads that run may then take to finish. Together
	// they lie within a Pod's usual grace of 30 s.
	stopTimeout  = 5 * time.Second
	drainTimeout = 20 * time.Second
	syncTimeout  = time.Second
)

type options struct {
	metrics           metricsOptions
	probeAddr         string
	leaderElect       bool
	electionNamespace string
	watchNamespaces   string
	checkNamespace    string
	egress            egress.Config
	tenants           tenantOptions
	netHTTP           bool // loaders are called by net/http alone
	zap               zap.Options
}

func main() {
	var o options
	showVersion := flag.Bool("version", false, "Print the version and exit.")
	o.metrics.bind(flag.CommandLine)
	flag.StringVar(&o.probeAddr, "health-probe-bind-address", ":8081", "Where to serve /healthz and /readyz; 0 serves none.")
	flag.BoolVar(&o.leaderElect, "leader-elect", false, "Elect one of several replicas to write status. All of them refresh.")
	flag.StringVar(&o.electionNamespace, "leader-election-namespace", "", "The namespace of the election's Lease; the Pod's own if empty.")
	flag.StringVar(&o.watchNamespaces, "watch-namespaces", "", "The namespaces to watch, separated by commas; all if empty.")
	flag.StringVar(&o.checkNamespace, "check", "", "Only see, by dry runs in this namespace, that the API server takes a good CachePolicy and refuses a bad one.")
	o.egress.Bind(flag.CommandLine)
	o.tenants.bind(flag.CommandLine)
	flag.Func("http-client", "What calls loaders by plain HTTP: direct, which takes about half of the CPU, or net/http, Go's own client. (default direct)", func(name string) error {
		o.netHTTP = name == "net/http"
		if !o.netHTTP && name != "direct" {
			return errors.New("write direct or net/http")
		}
		return nil
	})
	o.zap.BindFlags(flag.CommandLine)
	flag.Parse()
	if *showVersion {
		fmt.Println("keepfresh", version.Get())
		return
	}

	log := zap.New(zap.UseFlagOptions(&o.zap))
	ctrl.SetLogger(log)
	klog.SetLogger(log.WithName("client-go"))
	redis.SetLogger(redisLog{log.WithName("redis")})
	ctx := ctrl.SetupSignalHandler()
	if o.checkNamespace != "" {
		if err := check(ctx, o.checkNamespace, os.Stdout); err != nil {
			log.Error(err, "The check failed")
			os.Exit(1)
		}
		return
	}
	if err := run(ctx, o, log); err != nil {
		log.Error(err, "Keepfresh ends")
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, log logr.Logger) error {
	if err := o.tenants.check(); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(cachev1alpha1.AddToScheme(scheme))

	conf, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server (set --kubeconfig or KUBECONFIG, or run in a Pod): %w", err)
	}
	serving, certificate, err := o.metrics.server()
	if err != nil {
		return err
	}
	build := version.Get()
	log.Info("Keepfresh begins", "version", build.Version, "revision", build.Revision, "go", build.GoVersion)
	metrics.Registry.MustRegister(build.Collector())
	conf.UserAgent = "keepfresh/" + build.Version // for the API server's audit log
	mgr, err := ctrl.NewManager(conf, ctrl.Options{
		Scheme:                  scheme,
		Client:                  controllers.ClientOptions(),
		Metrics:                 serving,
		HealthProbeBindAddress:  o.probeAddr,
		GracefulShutdownTimeout: new(stopTimeout),
		Cache:                   controllers.CacheOptions(o.tenants.secrets, namespaces(o.watchNamespaces)),
	})
	if err != nil {
		return fmt.Errorf("set up the manager: %w", err)
	}
	if certificate != nil {
		if err := mgr.Add(certificate); err != nil {
			return fmt.Errorf("watch the metrics' certificate: %w", err)
		}
	}

	election, err := elect(mgr, o)
	if err != nil {
		return err
	}
	rules, err := egress.New(o.egress)
	if err != nil {
		return err
	}
	own := egress.Keep(rules, log.WithName("egress"), egress.Interfaces, egress.HostOf(egress.APIServer, conf.Host), behindKubernetes(mgr.GetAPIReader()))
	if err := mgr.Add(own); err != nil {
		return fmt.Errorf("watch the addresses that policies may not use: %w", err)
	}
	wakeups := &controllers.Wakeups{}
	engine := refresher.New(refresher.Options{
		OnChange:   wakeups.Notify,
		Standby:    func() bool { return !election.Leads() },
		Egress:     rules,
		Limits:     o.tenants.engine,
		NetHTTP:    o.netHTTP,
		Registerer: metrics.Registry,
		Log:        slog.New(logr.ToSlogHandler(log.WithName("engine"))),
	})
	reconciler := &controllers.CachePolicyReconciler{
		Client:   mgr.GetClient(),
		Engine:   engine,
		Events:   mgr.GetEventRecorder("keepfresh"),
		Wakeups:  wakeups,
		Election: election,
		Limits:   o.tenants.policies, SecretSelector: o.tenants.secrets,
	}
	if err := reconciler.SetupWithManager(ctx, mgr); err != nil {
		return fmt.Errorf("set up the controller (does the API server at %s answer, and has it the CachePolicy CRD?): %w", conf.Host, err)
	}
	explainer := &controllers.KeyExplanationReconciler{Client: mgr.GetClient(), Engine: engine, Election: election}
	if err := explainer.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the answers to KeyExplanations: %w", err)
	}
	if err := addChecks(mgr, engine); err != nil {
		return fmt.Errorf("set up the health checks: %w", err)
	}
	err = start(ctx, mgr)
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	engine.Close(drain)
	return err
}

// elect has the manager take part in the election of a leader, if it should.
func elect(mgr manager.Manager, o options) (*controllers.Election, error) {
	if !o.leaderElect {
		return nil, nil
	}
	election, err := controllers.NewElection(mgr, o.electionNamespace)
	if err != nil {
		return nil, fmt.Errorf("set up the election of a leader (outside of a Pod, set --leader-election-namespace): %w", err)
	}
	return election, mgr.Add(election)
}

// start runs the manager until ctx ends. A manager that waits for its caches
// does not heed that: it is left behind when its time is over.
func start(ctx context.Context, mgr manager.Manager) error {
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(stopTimeout + time.Second):
		return nil
	}
}

// addChecks lets /healthz tell whether the engine's loops turn, and /readyz
// whether the API server's objects have been read.
func addChecks(mgr manager.Manager, engine *refresher.Engine) error {
	alive := func(*http.Request) error { return engine.Healthy() }
	synced := func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), syncTimeout)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the caches are not in sync with the API server")
		}
		return nil
	}
	return errors.Join(
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddHealthzCheck("engine", alive),
		mgr.AddReadyzCheck("caches", synced),
	)
}

func namespaces(list string) map[string]cache.Config {
	found := map[string]cache.Config{}
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			found[name] = cache.Config{}
		}
	}
	return found
}

// redisLog takes go-redis' own log, which repeats what conditions tell.
type redisLog struct{ logr.Logger }

// Printf logs for those who want to know more.
func (l redisLog) Printf(_ context.Context, format string, v ...any) {
	l.V(1).Info(fmt.Sprintf(format, v...))
}
