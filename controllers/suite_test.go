// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Ginkgo's own, for as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/onsi/ginkgo/v2/internal/interrupt_handler.(*InterruptHandler).registerForInterrupts.func2"),
		// controller-runtime's, where an informer stops while an event comes in:
		// watch.Filter, in which it wraps metadata watches, cannot give that up.
		goleak.IgnoreTopFunction("k8s.io/apimachinery/pkg/watch.(*filteredWatch).loop"))
}

func TestControllers(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver: use make test, or make envtest and set it to what that prints")
	}
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	SetDefaultConsistentlyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "Controllers")
}

var (
	scheme  = runtime.NewScheme()
	env     *envtest.Environment
	admin   client.WithWatch // may do anything, and caches nothing
	gateway *gate            // between the operator and the API server
	user    *rest.Config     // the operator's, with the rights that config/rbac gives
	running *operator        // during every spec
	logged  = &log{}         // all that the operator has logged
)

var _ = BeforeSuite(func() {
	logger := zap.New(zap.WriteTo(logged), zap.UseDevMode(true))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	goredis.SetLogger(redisLog{})
	Expect(errors.Join(clientgoscheme.AddToScheme(scheme), cachev1alpha1.AddToScheme(scheme))).To(Succeed())

	env = &envtest.Environment{
		Scheme:                scheme,
		CRDDirectoryPaths:     []string{filepath.Join("..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	conf, err := env.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })
	admin, err = client.NewWithWatch(conf, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	added, err := env.AddUser(envtest.User{Name: "keepfresh-manager"}, nil)
	Expect(err).NotTo(HaveOccurred())
	grant(rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "keepfresh-manager"})
	gateway = openGate(strings.Trim(strings.TrimPrefix(conf.Host, "https:"), "/"))
	DeferCleanup(gateway.close)
	user = rest.CopyConfig(added.Config())
	user.Host = "https://" + gateway.addr()

	running = startOperator(logger, user, nil)
	DeferCleanup(func() { running.stop() })
})

// grant gives the subject the roles in config/rbac, as that binds them to the
// service account.
func grant(subject rbacv1.Subject) {
	GinkgoHelper()
	file, err := os.Open(filepath.Join("..", "config", "rbac", "role.yaml"))
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = file.Close() }()
	documents := yaml.NewYAMLReader(bufio.NewReader(file))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		Expect(err).NotTo(HaveOccurred())
		var role rbacv1.ClusterRole // a Role has the same fields
		Expect(yaml.UnmarshalStrict(document, &role)).To(Succeed())
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: role.Kind, Name: role.Name}
		meta := metav1.ObjectMeta{Name: role.Name, Namespace: role.Namespace}
		if role.Kind == "ClusterRole" {
			create(&role, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{subject}})
			continue
		}
		if role.Namespace != metav1.NamespaceDefault {
			create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: role.Namespace}})
		}
		create(&rbacv1.Role{ObjectMeta: meta, Rules: role.Rules},
			&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{subject}})
	}
}

func create(objects ...client.Object) {
	GinkgoHelper()
	for _, o := range objects {
		Expect(admin.Create(context.Background(), o)).To(Succeed())
	}
}

// operator is what cmd/keepfresh runs, in this process.
type operator struct {
	engine    *refresher.Engine
	election  *Election
	explainer *KeyExplanationReconciler
	clock     clock // of the explainer
	metrics   *prometheus.Registry
	cancel    context.CancelFunc
	ended     chan error
}

// clock can be put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// startOperator starts one that reaches the API server as conf says, and takes
// part in an election, if elect makes one.
func startOperator(logger logr.Logger, conf *rest.Config, elect func(ctrl.Manager) *Election) *operator {
	GinkgoHelper()
	mgr, err := ctrl.NewManager(conf, ctrl.Options{
		Scheme:     scheme,
		Logger:     logger,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Client:     ClientOptions(),
		Controller: config.Controller{SkipNameValidation: new(true)}, // it is started more than once
	})
	Expect(err).NotTo(HaveOccurred())
	o := &operator{metrics: prometheus.NewRegistry(), ended: make(chan error, 1)}
	if elect != nil {
		o.election = elect(mgr)
		Expect(mgr.Add(o.election)).To(Succeed())
	}
	wakeups := &Wakeups{}
	o.engine = refresher.New(refresher.Options{
		OnChange: wakeups.Notify, Standby: func() bool { return !o.election.Leads() },
		Registerer: o.metrics, Log: slog.New(logr.ToSlogHandler(logger.WithName("engine"))),
	})
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	reconciler := &CachePolicyReconciler{Client: mgr.GetClient(), Engine: o.engine, Events: mgr.GetEventRecorder("keepfresh"), Wakeups: wakeups, Election: o.election}
	Expect(reconciler.SetupWithManager(ctx, mgr)).To(Succeed())
	o.explainer = &KeyExplanationReconciler{Client: mgr.GetClient(), Engine: o.engine, Election: o.election, Now: o.clock.now}
	Expect(o.explainer.SetupWithManager(mgr)).To(Succeed())
	go func() { o.ended <- mgr.Start(ctx) }()
	return o
}

func (o *operator) stop() {
	GinkgoHelper()
	o.cancel()
	Eventually(o.ended).Should(Receive(BeNil()))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	o.engine.Close(ctx)
	Expect(ctx.Err()).NotTo(HaveOccurred(), "the engine took too long to end")
}

// exposed are the metrics as they are served.
func (o *operator) exposed() string {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(o.metrics, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), "GET", "/metrics", nil))
	return w.Body.String()
}

// log keeps what is written to it.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = GinkgoWriter.Write(p)
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// redisLog takes what go-redis logs by itself.
type redisLog struct{}

func (redisLog) Printf(_ context.Context, format string, v ...any) {
	_, _ = fmt.Fprintf(logged, "  redis: "+format+"\n", v...)
}

// gate passes TCP connections on to a server, unless it is shut: then it breaks
// those that there are, and takes no more.
type gate struct {
	listener net.Listener
	target   string
	pumps    sync.WaitGroup

	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]bool
}

func openGate(target string) *gate {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	g := &gate{listener: listener, target: target, conns: map[net.Conn]bool{}}
	g.pumps.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			g.pumps.Go(func() { g.pass(from) })
		}
	})
	return g
}

func (g *gate) addr() string { return g.listener.Addr().String() }

func (g *gate) pass(from net.Conn) {
	defer func() { _ = from.Close() }()
	if !g.enter(from) {
		return
	}
	to, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	if !g.enter(to) {
		return
	}
	var one sync.WaitGroup
	one.Go(func() { _, _ = io.Copy(to, from); _ = to.Close() })
	_, _ = io.Copy(from, to)
	_ = from.Close()
	one.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, from)
	delete(g.conns, to)
}

func (g *gate) enter(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut {
		g.conns[c] = true
	}
	return !g.shut
}

// set shuts the gate, or opens it.
func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		for c := range g.conns {
			_ = c.Close()
		}
	}
}

func (g *gate) close() {
	_ = g.listener.Close()
	g.set(true)
	g.pumps.Wait()
}
