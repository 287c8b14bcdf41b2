// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const electionNamespace = "keepfresh-system"

// TestTheBuiltOperator runs the binary as a Deployment would: by its flags, and
// with the rights of config/rbac.
func TestTheBuiltOperator(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver: use make test, or make envtest and set it to what that prints")
	}
	binary := build(t)
	c := startCluster(t)
	t.Run("works in the namespaces that it watches, and ends with nothing left", func(t *testing.T) { works(t, binary, c) })
	t.Run("of which one replica is killed, goes on in the other", func(t *testing.T) { takesOver(t, binary, c) })
	t.Run("is alive but not ready while it may read nothing", func(t *testing.T) { unready(t, binary, c) })
	t.Run("shows metrics to those who may see them", func(t *testing.T) { secured(t, binary, c) })
	t.Run("shows no metrics while it cannot ask who may see them", func(t *testing.T) { selfSigned(t, binary, c) })
	t.Run("tells a token it does not know from one that it cannot ask about", func(t *testing.T) { halfAsked(t, binary, c) })
	t.Run("connects to no address that is denied, and says so", func(t *testing.T) { denies(t, binary, c) })
	t.Run("bounds what one namespace has of it, and says so", func(t *testing.T) { bounds(t, binary, c) })
	t.Run("serves no metrics at all if so told", func(t *testing.T) { unserved(t, binary, c) })
	t.Run("says what is wrong with a folder for the metrics' certificate", func(t *testing.T) {
		kubeconfig, broken := "--kubeconfig="+c.kubeconfig(t, "nobody"), t.TempDir()
		lost(t, binary, "--metrics-cert-dir has to hold tls.crt and tls.key", kubeconfig, "--metrics-secure", "--metrics-cert-dir="+broken)
		write(t, filepath.Join(broken, "tls.crt"), []byte("not a certificate"))
		write(t, filepath.Join(broken, "tls.key"), []byte("not a key"))
		lost(t, binary, "no pair of certificate and key that can be used", kubeconfig, "--metrics-secure", "--metrics-cert-dir="+broken)
		lost(t, binary, "remove one of them", kubeconfig, "--metrics-cert-dir="+broken)
	})
	t.Run("says how to name an API server", func(t *testing.T) { lost(t, binary, "find the API server", "--kubeconfig=/nonexistent") })
	t.Run("says that the API server does not answer", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "kubeconfig")
		write(t, path, []byte(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
			users: [{name: u, user: {}}], clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]}`))
		lost(t, binary, "does the API server at http://127.0.0.1:1 answer", "--kubeconfig="+path)
	})
}

func works(t *testing.T, binary string, c *cluster) {
	redis := redistest.Start(t)
	rdb := redis.Client(t)
	loading := make(chan struct{}, 100)
	loader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		loading <- struct{}{}
		time.Sleep(500 * time.Millisecond)
		_, _ = io.WriteString(w, "value")
	}))
	t.Cleanup(loader.Close)
	for _, ns := range []string{"watched", "unwatched"} {
		c.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, policy(ns, redis.Addr, loader.URL))
	}

	o := start(t, binary, "--kubeconfig="+c.kubeconfig(t, "keepfresh-manager"), "--watch-namespaces=watched",
		"--leader-elect", "--leader-election-namespace="+electionNamespace)
	o.eventually(t, "/healthz answers 200", func() bool { return o.status(o.probes+"/healthz") == http.StatusOK })
	o.eventually(t, "/readyz answers 200", func() bool { return o.status(o.probes+"/readyz") == http.StatusOK })
	o.eventually(t, "the policy is Ready", func() bool { return c.ready(t, "watched") })
	if status := c.get(t, "unwatched").Status; status.ObservedGeneration != 0 {
		t.Errorf("a policy in a namespace that is not watched has the status %+v", status)
	}
	metrics := o.body(o.metrics + "/metrics")
	for _, name := range []string{"keepfresh_keys", "keepfresh_fresh_ratio", "keepfresh_loads_total", "keepfresh_rebuilds_total",
		"keepfresh_load_duration_seconds_bucket", "keepfresh_refresh_lag_seconds_bucket", "keepfresh_expired_keys_total",
		"keepfresh_queue_depth", "keepfresh_build_info", "controller_runtime_reconcile_total"} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("/metrics lacks %s", name)
		}
	}

	for len(loading) > 0 {
		<-loading
	}
	<-loading // one runs now
	began := time.Now()
	if code := o.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s to end", took)
	}
	if keys := rdb.Keys(t.Context(), "keepfresh:*").Val(); len(keys) > 0 {
		t.Errorf("left in Redis: %v", keys)
	}
	var leases coordinationv1.LeaseList
	if err := c.admin.List(t.Context(), &leases, client.InNamespace(electionNamespace)); err != nil {
		t.Fatal(err)
	}
	if len(leases.Items) != 1 || leases.Items[0].Spec.HolderIdentity != nil && *leases.Items[0].Spec.HolderIdentity != "" {
		t.Errorf("the lease is not there, or is still held: %+v", leases.Items)
	}
	for line := range strings.Lines(o.log.String()) {
		if strings.Contains(line, "forbidden") || strings.Contains(line, "rejected") || strings.Contains(line, "ERROR") || strings.Contains(line, `"level":"error"`) {
			t.Errorf("logged: %s", line)
		}
	}
}

func unready(t *testing.T, binary string, c *cluster) {
	o := start(t, binary, "--kubeconfig="+c.kubeconfig(t, "nobody"))
	o.eventually(t, "/healthz answers 200", func() bool { return o.status(o.probes+"/healthz") == http.StatusOK })
	for range 3 {
		if code := o.status(o.probes + "/readyz"); code != http.StatusInternalServerError {
			t.Errorf("/readyz answers %d", code)
		}
	}
	if code := o.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// lost starts the operator, which has to end at once and say why.
func lost(t *testing.T, binary, why string, args ...string) {
	o := start(t, binary, args...)
	select {
	case <-o.exited:
	case <-time.After(20 * time.Second):
		t.Fatal("it did not end")
	}
	if code := o.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if log := o.log.String(); !strings.Contains(log, why) || strings.Contains(log, "panic") {
		t.Errorf("it said: %s", log)
	}
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "keepfresh")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-race", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the operator: %v\n%s", err, out)
	}
	return binary
}

// policy keeps one key fresh.
func policy(namespace, redis, loader string) *cachev1alpha1.CachePolicy {
	return &cachev1alpha1.CachePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "catalog", Namespace: namespace},
		Spec: cachev1alpha1.CachePolicySpec{
			Redis:        cachev1alpha1.Redis{Addresses: []string{redis}},
			Expire:       &cachev1alpha1.Duration{Duration: 3 * time.Second},
			GuardTimeout: &cachev1alpha1.Duration{Duration: time.Second},
			Keyspaces: []cachev1alpha1.Keyspace{{
				Name: "products", Key: namespace + ":{id}", Source: &cachev1alpha1.Source{Keys: []string{namespace + ":1"}},
				Loader: cachev1alpha1.Loader{HTTP: &cachev1alpha1.HTTPLoader{URL: loader + "/{id}"}},
			}},
		},
	}
}

// process is the operator's.
type process struct {
	cmd             *exec.Cmd
	probes, metrics string
	log             output
	exited          chan struct{}
}

func start(t *testing.T, binary string, args ...string) *process {
	t.Helper()
	var addrs [2]string
	for i := range addrs {
		addr, err := redistest.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		addrs[i] = addr
	}
	o := &process{probes: "http://" + addrs[0], metrics: "http://" + addrs[1], exited: make(chan struct{})}
	o.cmd = exec.CommandContext(t.Context(), binary, append([]string{
		"--health-probe-bind-address=" + addrs[0], "--metrics-bind-address=" + addrs[1], "--metrics-secure=false", "--allow-egress-cidr=127.0.0.1",
	}, args...)...)
	o.cmd.Stdout, o.cmd.Stderr = &o.log, &o.log
	// Nothing of the tester's own clusters.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "KUBE") && !strings.HasPrefix(v, "HOME=") {
			o.cmd.Env = append(o.cmd.Env, v)
		}
	}
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = o.cmd.Wait()
		close(o.exited)
	}()
	t.Cleanup(func() {
		_ = o.cmd.Process.Kill()
		<-o.exited
		if t.Failed() {
			t.Logf("the operator logged:\n%s", o.log.String())
		}
	})
	return o
}

// end sends SIGTERM, and returns the exit code.
func (o *process) end(t *testing.T) int {
	t.Helper()
	if err := o.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-o.exited:
	case <-time.After(30 * time.Second):
		t.Fatal("it has not ended within 30 seconds of SIGTERM")
	}
	return o.cmd.ProcessState.ExitCode()
}

func (o *process) eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !check(); time.Sleep(50 * time.Millisecond) {
		select {
		case <-o.exited:
			t.Fatalf("the operator has ended; wanted: %s", what)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("not within 30 seconds: %s", what)
		}
	}
}

// status is the code that a URL answers, or 0.
func (o *process) status(url string) int {
	code, _ := fetch(url)
	return code
}

func (o *process) body(url string) string {
	_, body := fetch(url)
	return body
}

func fetch(url string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, ""
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// output keeps what is written to it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// cluster is an API server with the CRD and the operator's roles.
type cluster struct {
	env   *envtest.Environment
	admin client.Client
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), cachev1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c := &cluster{env: &envtest.Environment{
		Scheme: scheme, ErrorIfCRDPathMissing: true,
		CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")},
	}}
	conf, err := c.env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.env.Stop(); err != nil {
			t.Error(err)
		}
	})
	if c.admin, err = client.New(conf, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	c.grant(t, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "keepfresh-manager"})
	return c
}

// grant gives the subject the roles in config/rbac.
func (c *cluster) grant(t *testing.T, subject rbacv1.Subject) {
	t.Helper()
	c.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: electionNamespace}})
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", "role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		var role rbacv1.ClusterRole // a Role has the same fields
		if err := errors.Join(err, yaml.UnmarshalStrict(document, &role)); err != nil {
			t.Fatal(err)
		}
		meta := metav1.ObjectMeta{Name: role.Name, Namespace: role.Namespace}
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: role.Kind, Name: role.Name}
		if role.Kind == "ClusterRole" {
			c.create(t, &role, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{subject}})
		} else {
			c.create(t, &rbacv1.Role{ObjectMeta: meta, Rules: role.Rules}, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{subject}})
		}
	}
}

func (c *cluster) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := c.admin.Create(t.Context(), o); err != nil {
			t.Fatal(fmt.Errorf("create %s: %w", o.GetName(), err))
		}
	}
}

func (c *cluster) get(t *testing.T, namespace string) *cachev1alpha1.CachePolicy {
	t.Helper()
	return c.named(t, namespace, "catalog")
}

func (c *cluster) ready(t *testing.T, namespace string) bool {
	t.Helper()
	return apimeta.IsStatusConditionTrue(c.get(t, namespace).Status.Conditions, cachev1alpha1.ConditionReady)
}

// kubeconfig writes one for a user, and returns its path.
func (c *cluster) kubeconfig(t *testing.T, user string) string {
	t.Helper()
	added, err := c.env.AddUser(envtest.User{Name: user}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := added.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, path, text)
	return path
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
