// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/plugin/report"
	"github.com/keepfresh/keepfresh/internal/redistest"
)

const shop = "shop"

// world is a real API server, a real Redis, a loader, and the real operator,
// which can be stopped.
type world struct {
	env      *envtest.Environment
	admin    client.Client
	binary   string
	operator *exec.Cmd

	redis  *redistest.Server
	loader *httptest.Server
	broken atomic.Bool  // the loader answers 500
	slow   atomic.Int64 // nanoseconds that a load takes
	loads  atomic.Int64

	kubeconfig string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver: use make test, or make envtest and set it to what that prints")
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), cachev1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	w := &world{redis: redistest.Start(t), env: &envtest.Environment{
		Scheme: scheme, ErrorIfCRDPathMissing: true,
		CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")},
	}}
	w.loader = httptest.NewServer(http.HandlerFunc(w.load))
	t.Cleanup(w.loader.Close)
	conf, err := w.env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.env.Stop() })
	if w.admin, err = client.New(conf, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	w.kubeconfig = write(t, "kubeconfig", w.env.KubeConfig)
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shop}})
	w.binary = filepath.Join(t.TempDir(), "keepfresh")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", w.binary, "../../cmd/keepfresh").CombinedOutput(); err != nil {
		t.Fatalf("build the operator: %v\n%s", err, out)
	}
	return w
}

func (w *world) load(rw http.ResponseWriter, r *http.Request) {
	w.loads.Add(1)
	select {
	case <-time.After(time.Duration(w.slow.Load())):
	case <-r.Context().Done():
	}
	if w.broken.Load() {
		rw.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprint(rw, "a value")
}

// startOperator starts the operator, which is stopped at the end of t.
func (w *world) startOperator(t *testing.T) {
	t.Helper()
	// It outlives ctx, so that it can end as it would in a Pod.
	w.operator = exec.CommandContext(context.WithoutCancel(t.Context()), w.binary,
		"--kubeconfig="+w.kubeconfig, "--metrics-bind-address=0", "--health-probe-bind-address=0", "--allow-egress-cidr=127.0.0.1")
	log := &strings.Builder{}
	w.operator.Stdout, w.operator.Stderr = log, log
	if err := w.operator.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.operator.Process.Signal(syscall.SIGTERM)
		_ = w.operator.Wait()
		if t.Failed() {
			t.Logf("the operator logged:\n%s", log)
		}
	})
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (w *world) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := w.admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

// policy creates one with two keyspaces, of two keys each.
func (w *world) policy(t *testing.T, name string) {
	t.Helper()
	p := &cachev1alpha1.CachePolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: shop}}
	p.Spec.Redis.Addresses = []string{w.redis.Addr}
	p.Spec.Expire = &cachev1alpha1.Duration{Duration: time.Hour}
	for _, k := range []string{"a", "b"} {
		p.Spec.Keyspaces = append(p.Spec.Keyspaces, cachev1alpha1.Keyspace{
			Name: k, Key: name + "-" + k + ":{id}", Source: &cachev1alpha1.Source{Keys: []string{name + "-" + k + ":1", name + "-" + k + ":2"}},
			Loader: cachev1alpha1.Loader{HTTP: &cachev1alpha1.HTTPLoader{URL: w.loader.URL + "/{id}"}},
		})
	}
	w.create(t, p)
}

func (w *world) get(t *testing.T, name string) *cachev1alpha1.CachePolicy {
	t.Helper()
	p := &cachev1alpha1.CachePolicy{}
	if err := w.admin.Get(t.Context(), client.ObjectKey{Namespace: shop, Name: name}, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) awaitReady(t *testing.T, name string) {
	t.Helper()
	eventually(t, name+" is Ready", func() bool {
		return apimeta.IsStatusConditionTrue(w.get(t, name).Status.Conditions, cachev1alpha1.ConditionReady)
	})
}

func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !check(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 seconds: %s", what)
		}
	}
}

// run runs the plugin in the namespace.
func (w *world) run(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, "", append([]string{"--kubeconfig", w.kubeconfig, "-n", shop}, args...)...)
}

// expect runs the plugin, and checks the code and what it says: out and err hold
// these texts.
func (w *world) expect(t *testing.T, code int, out, err string, args ...string) result {
	t.Helper()
	r := w.run(t, args...)
	if r.code != code || !strings.Contains(r.out, out) || !strings.Contains(r.err, err) || (err == "" && r.err != "" && args[0] != "refresh") {
		t.Errorf("%s: exit code %d, want %d\n%s%swant %q and %q", strings.Join(args, " "), r.code, code, r.out, r.err, out, err)
	}
	return r
}

func TestAgainstACluster(t *testing.T) {
	w := newWorld(t)
	w.policy(t, "catalog")
	t.Run("without an operator", w.testWithout)
	w.startOperator(t)
	w.awaitReady(t, "catalog")
	t.Run("status", w.testStatus)
	t.Run("top", w.testTop)
	t.Run("refresh", w.testRefresh)
	t.Run("suspend and resume", w.testSuspend)
	t.Run("explain", w.testExplain)
	t.Run("version", w.testVersion)
	t.Run("completion", w.testCompletion)
	t.Run("rights", w.testRights)
	t.Run("no API server", w.testNoServer)
}

func (w *world) testWithout(t *testing.T) {
	w.expect(t, ExitNotReady, "Not ready: NotReported", "", "status", "catalog")
	w.expect(t, ExitError, "", "no operator answered within 1s. Does it run", "explain", "catalog", "catalog-a:1", "--timeout", "1s")
	var left cachev1alpha1.KeyExplanationList
	if err := w.admin.List(t.Context(), &left); err != nil || len(left.Items) > 0 {
		t.Errorf("questions are left behind: %v, %v", left.Items, err)
	}
	w.expect(t, ExitError, "refresh of all keyspaces requested", "(is it running?) has not reported on this policy. kubectl cachepolicy status catalog -n shop", "refresh", "catalog", "--timeout", "1s")
}

func (w *world) testStatus(t *testing.T) {
	w.expect(t, ExitOK, "shop/catalog  Ready\n", "", "status", "catalog")
	w.expect(t, ExitOK, "\x1b[32mReady\x1b[0m", "", "status", "catalog", "--color", "always")
	w.expect(t, ExitError, "", `error: cachepolicies.cache.keepfresh.dev "nope" not found. kubectl get cachepolicies`, "status", "nope")
	w.expect(t, ExitError, "", `"nope" not found`, "status", "nope", "--watch")

	var fromJSON, fromYAML report.Policy
	if err := json.Unmarshal([]byte(w.run(t, "status", "catalog", "-o", "json").out), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(w.run(t, "status", "catalog", "-o", "yaml").out), &fromYAML); err != nil {
		t.Fatal(err)
	}
	for _, p := range []report.Policy{fromJSON, fromYAML} {
		if p.Name != "catalog" || p.Ready != metav1.ConditionTrue || *p.Keys != 4 || len(p.Keyspaces) != 2 || p.Keyspaces[0].Keys != 2 {
			t.Errorf("got %+v", p)
		}
	}
}

func (w *world) testTop(t *testing.T) {
	w.expect(t, ExitOK, "Ready: 1 of 1 policies   Fresh: 100%   Keys: 4", "", "top", "--once")
	w.expect(t, ExitOK, "NAMESPACE   NAME      READY", "", "top", "-A", "--once")
	w.expect(t, ExitOK, "There is no CachePolicy in namespace default; -A shows", "", "top", "--once", "-n", "default")

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	out := w.background(ctx, t, "top")
	eventually(t, "the live view shows the policy", func() bool { return strings.Contains(out.String(), "1 of 1 policies") })
	w.policy(t, "later")
	eventually(t, "the live view follows", func() bool { return strings.Contains(out.String(), "of 2 policies") })
	w.awaitReady(t, "later")
}

func (w *world) testRefresh(t *testing.T) {
	before := w.loads.Load()
	w.expect(t, ExitOK, "catalog refreshed in ", "", "refresh", "catalog")
	if n := w.loads.Load() - before; n != 4 {
		t.Errorf("%d loads for 4 keys", n)
	}
	w.expect(t, ExitOK, "refresh of b requested", "", "refresh", "catalog", "--keyspace", "b")
	if n := w.loads.Load() - before; n != 6 {
		t.Errorf("%d loads for 4 keys, and then for 2", n)
	}
	w.expect(t, ExitOK, "refresh of a, b requested", "", "refresh", "catalog", "--keyspace", "a,b")
	w.expect(t, ExitOK, "requested", "", "refresh", "catalog")
	if n := w.loads.Load() - before; n != 14 {
		t.Errorf("%d loads for 4, 2, 4 and 4 keys", n)
	}
	w.expect(t, ExitError, "", `cachepolicy shop/catalog has no keyspace "c"; it has a, b`, "refresh", "catalog", "--keyspace", "c")

	w.slow.Store(int64(time.Minute))
	w.expect(t, ExitError, "", "error: the refresh was not done within 1s; the operator goes on with it", "refresh", "catalog", "--timeout", "1s")
	ctx, cancel := context.WithCancel(t.Context())
	out := w.background(ctx, t, "refresh", "catalog")
	eventually(t, "it is asked for", func() bool { return strings.Contains(out.String(), "requested") })
	r := w.run(t, "refresh", "catalog", "--wait=false")
	eventually(t, "the first tells that it was replaced", func() bool { return strings.Contains(out.String(), "took the place of this one") })
	if r.code != ExitOK {
		t.Errorf("exit code %d", r.code)
	}
	out = w.background(ctx, t, "refresh", "catalog")
	eventually(t, "it is asked for", func() bool { return strings.Contains(out.String(), "waiting") })
	cancel()
	eventually(t, "it tells what goes on", func() bool {
		return strings.Contains(out.String(), "error: interrupted; the operator goes on with the refresh") && strings.Contains(out.String(), "exit 130")
	})
	w.slow.Store(0)
	w.broken.Store(true)
	w.expect(t, ExitError, "every key was tried", "keyspace b: UnexpectedStatus: ", "refresh", "catalog")
	w.broken.Store(false)
	w.expect(t, ExitOK, "every key was tried", "", "refresh", "catalog")
}

func (w *world) testSuspend(t *testing.T) {
	w.expect(t, ExitOK, "cachepolicy shop/catalog was not suspended; nothing changed\n", "", "resume", "catalog")
	w.expect(t, ExitOK, "cachepolicy shop/catalog suspended\n", "", "suspend", "catalog")
	w.expect(t, ExitOK, "cachepolicy shop/catalog was suspended already; nothing changed\n", "", "suspend", "catalog")
	if !w.get(t, "catalog").Spec.Suspend {
		t.Error("it is not")
	}
	w.expect(t, ExitError, "", "is suspended: nothing is refreshed until kubectl cachepolicy resume catalog -n shop", "refresh", "catalog")
	w.expect(t, ExitOK, "cachepolicy shop/catalog resumed\n", "", "resume", "catalog")
	w.awaitReady(t, "catalog")
	w.expect(t, ExitError, "", "not found", "suspend", "nope")
}

func (w *world) testExplain(t *testing.T) {
	r := w.expect(t, ExitOK, "Kept fresh:   yes, by keyspace a\n", "", "explain", "catalog", "catalog-a:1")
	for _, want := range []string{"Parameter:    id = 1\n", "Loader:       GET " + w.loader.URL + "/1\n", "State:        Fresh", "Guard:        free\n"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is missing in\n%s", want, r.out)
		}
	}
	w.expect(t, ExitOK, "Kept fresh:   no: NoTemplateMatches\n", "", "explain", "catalog", "other:1")
	w.expect(t, ExitOK, `"keyspace": "a"`, "", "explain", "catalog", "catalog-a:1", "-o", "json")
	w.expect(t, ExitError, "", "not found", "explain", "nope", "catalog-a:1")
	var left cachev1alpha1.KeyExplanationList
	if err := w.admin.List(t.Context(), &left); err != nil || len(left.Items) > 0 {
		t.Errorf("questions are left behind: %v, %v", left.Items, err)
	}
}

func (w *world) testVersion(t *testing.T) {
	w.expect(t, ExitOK, "CRD:       v1alpha1, the same as this plugin's\nOperator:  none found", "", "version")
	if r := w.expect(t, ExitOK, "Plugin:", "", "version", "--client"); strings.Contains(r.out, "CRD") {
		t.Errorf("the server was asked:\n%s", r.out)
	}
}

func (w *world) testCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"status c": "catalog\n:4\n", "status ": "catalog\nlater\n:4\n", "status catalog ": ":4\n", "explain l": "later\n:4\n",
		"refresh catalog --keyspace a,": "a,a\na,b\n:4\n", "status -o ": "json\nyaml\n:4\n", "status --namespace sh": "shop\n:4\n",
	} {
		args := append([]string{"__complete", "--kubeconfig", w.kubeconfig, "-n", shop}, strings.Split(line, " ")...)
		if r := run(t, "", args...); r.out != want {
			t.Errorf("%s: %q, want %q", line, r.out, want)
		}
	}
	if r := run(t, "", "__complete", "--kubeconfig", "./none", "status", ""); r.out != ":4\n" {
		t.Errorf("without a cluster: %q", r.out)
	}
}

// A user without rights is told which are missing, and one with a reader's can
// read.
func (w *world) testRights(t *testing.T) {
	user, err := w.env.AddUser(envtest.User{Name: "reader"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	reader := &world{kubeconfig: write(t, "reader", text)}
	reader.expect(t, ExitError, "", `User "reader" cannot get resource "cachepolicies"`, "status", "catalog")
	reader.expect(t, ExitError, "", "Ask whoever runs the cluster for a role that allows it", "top", "--once")
	w.create(t, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "reader", Namespace: shop},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"cache.keepfresh.dev"}, Resources: []string{"cachepolicies"}, Verbs: []string{"get", "list", "watch"}}},
	}, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader", Namespace: shop},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "reader"}},
	})
	eventually(t, "the role counts", func() bool { return reader.run(t, "status", "catalog").code == ExitOK })
	reader.expect(t, ExitOK, "of 2 policies", "", "top", "--once")
	for _, args := range [][]string{{"refresh", "catalog"}, {"suspend", "catalog"}} {
		reader.expect(t, ExitError, "", `User "reader" cannot patch resource "cachepolicies"`, args...)
	}
	reader.expect(t, ExitError, "", `User "reader" cannot create resource "keyexplanations"`, "explain", "catalog", "catalog-a:1")
	reader.expect(t, ExitOK, "CRD:       not shown to you", "", "version")
}

func (w *world) testNoServer(t *testing.T) {
	nobody := write(t, "nobody", []byte(`
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
`))
	gone := &world{kubeconfig: nobody}
	for _, args := range [][]string{{"status", "a"}, {"top"}, {"suspend", "a"}, {"explain", "a", "b"}, {"refresh", "a"}} {
		gone.expect(t, ExitError, "", "error: the API server cannot be reached: ", args...)
	}
	gone.expect(t, ExitError, "Plugin:", "error: the API server cannot be reached: ", "version")
}
