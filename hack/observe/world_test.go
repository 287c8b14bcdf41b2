// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

const (
	systemNamespace = "keepfresh-system"
	// operatorUser is the service account that config/rbac gives its roles to.
	operatorUser = "system:serviceaccount:" + systemNamespace + ":keepfresh-manager"
	lifetime     = 10 * time.Second
)

// policies: catalog stays healthy, the others are to meet a fault each.
const policies = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: ` + systemNamespace + `}
` + begin + `catalog` + of + `{{shared}}` + keep + `
  - {name: products, key: "product:{id}", loader: {http: {url: "{{loader}}/healthy/{id}", timeout: 2s}}}
  - {name: pages, key: "page:{id}", source: {keys: ["page:home", "page:about"]}, loader: {http: {url: "{{loader}}/healthy/{id}", timeout: 2s}}}
` + begin + `broken` + of + `{{shared}}` + keep + `
  - {name: broken, key: "broken:{id}", loader: {http: {url: "{{loader}}/broken/{id}", timeout: 2s}}}
` + begin + `slow` + of + `{{shared}}` + keep + `
  - {name: slow, key: "slow:{id}", loader: {maxPerSecond: 100, http: {url: "{{loader}}/healthy/{id}", timeout: 2s}}}
` + begin + `remote` + of + `{{remote}}` + keep + `
  - {name: remote, key: "remote:{id}", loader: {http: {url: "{{loader}}/healthy/{id}", timeout: 2s}}}
` + begin + `crowded` + of + `{{crowded}}` + keep + `
  - {name: crowded, key: "crowded:{id}", source: {keys: [{{crowd}}]}, loader: {http: {url: "{{loader}}/large/{id}", timeout: 2s}}}
`

// A policy begins with its name, and has a Redis and keyspaces.
const (
	begin = `---
apiVersion: cache.keepfresh.dev/v1alpha1
kind: CachePolicy
metadata: {namespace: shop, name: `
	of = `}
spec:
  redis: {addresses: ["`
	keep = `"]}
  expire: 10s
  guardTimeout: 3s
  keyspaces:`
)

// crowd are the keys that Redis is to have no memory for: 200 KiB each.
var crowd = `"crowded:` + strings.Join(strings.Split("abcdefghijklmnopqrstuvwxyz", ""), `", "crowded:`) + `"`

// populations are how many keys the application has in each family.
var populations = map[string]int{"product": 100, "broken": 40, "slow": 50, "remote": 40}

// world is what is observed, and what it needs.
type world struct {
	t                       *testing.T
	dir                     string
	env                     *envtest.Environment
	kubeconfig              string // an administrator's
	shared, remote, crowded *redistest.Server
	broken, lost            atomic.Bool // the loader under /broken: it fails, or finds nothing
	operators               []*process
	metrics                 []string // their addresses
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), shared: redistest.Start(t), remote: redistest.Start(t), crowded: redistest.Start(t)}
	w.startAPIServer()
	loader := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if w.broken.Load() && strings.HasPrefix(r.URL.Path, "/broken") {
			http.Error(out, "out of order", http.StatusInternalServerError)
			return
		}
		if w.lost.Load() && strings.HasPrefix(r.URL.Path, "/broken") {
			http.NotFound(out, r)
			return
		}
		time.Sleep(10 * time.Millisecond)
		if strings.HasPrefix(r.URL.Path, "/large") {
			_, _ = io.WriteString(out, strings.Repeat("x", 200<<10))
			return
		}
		_, _ = fmt.Fprintf(out, "%s at %s", r.URL.Path, time.Now())
	}))
	t.Cleanup(loader.Close)
	w.populate(families()...)
	w.read()
	w.kubectl(strings.NewReplacer("{{shared}}", w.shared.Addr, "{{remote}}", w.remote.Addr, "{{crowded}}", w.crowded.Addr, "{{crowd}}", crowd, "{{loader}}", loader.URL).Replace(policies), "apply", "-f", "-")
	w.kubectl("", "apply", "-k", "../../config/rbac")
	user, err := w.env.AddUser(envtest.User{Name: operatorUser}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := w.writeKubeconfig("operator", user)
	for i := range 2 {
		w.startOperator(fmt.Sprint("operator-", i), kubeconfig)
	}
	return w
}

func (w *world) startAPIServer() {
	w.t.Helper()
	w.env = &envtest.Environment{
		CRDDirectoryPaths:     []string{"../../config/crd/bases"},
		ErrorIfCRDPathMissing: true,
	}
	if _, err := w.env.Start(); err != nil {
		w.t.Fatalf("start the API server: %v", err)
	}
	w.t.Cleanup(func() { _ = w.env.Stop() })
	admin, err := w.env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.kubeconfig = w.writeKubeconfig("admin", admin)
}

func (w *world) writeKubeconfig(name string, user *envtest.AuthenticatedUser) string {
	w.t.Helper()
	text, err := user.KubeConfig()
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.dir, name+".kubeconfig")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// kubectl runs kubectl as an administrator.
func (w *world) kubectl(stdin string, args ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), append([]string{"--kubeconfig", w.kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func families() []string { return slices.Collect(maps.Keys(populations)) }

// populate has the application write the keys that are missing of some families.
func (w *world) populate(families ...string) {
	w.t.Helper()
	for _, family := range families {
		if err := fill(w.t.Context(), w.client(family), family, populations[family]); err != nil {
			w.t.Fatal(err)
		}
	}
}

// read has the application read the family slow: what it misses it writes.
func (w *world) read() {
	rdb := w.client("slow")
	ctx, cancel := context.WithCancel(w.t.Context())
	var reading sync.WaitGroup
	reading.Go(func() {
		for ctx.Err() == nil {
			if err := fill(ctx, rdb, "slow", populations["slow"]); err != nil && ctx.Err() == nil {
				w.t.Errorf("the application cannot write: %v", err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	w.t.Cleanup(func() {
		cancel()
		reading.Wait()
	})
}

func (w *world) client(family string) *redis.Client {
	if family == "remote" {
		return w.remote.Client(w.t)
	}
	return w.shared.Client(w.t)
}

// fill writes the keys of a family that are missing.
func fill(ctx context.Context, rdb *redis.Client, family string, n int) error {
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range n {
			p.SetNX(ctx, fmt.Sprint(family, ":", i), "of the application", lifetime)
		}
		return nil
	})
	return err
}

func (w *world) startOperator(name, kubeconfig string) {
	w.t.Helper()
	metrics, health := freeAddr(w.t), freeAddr(w.t)
	w.metrics = append(w.metrics, metrics)
	w.operators = append(w.operators, start(w.t, filepath.Join(w.dir, name+".log"), os.Getenv("KEEPFRESH_BIN"),
		"--kubeconfig="+kubeconfig, "--metrics-bind-address="+metrics, "--metrics-secure=false",
		"--health-probe-bind-address="+health, "--leader-elect", "--leader-election-namespace="+systemNamespace,
		"--allow-egress-cidr=127.0.0.1"))
	eventually(w.t, name+" is ready", time.Minute, func() error { return answers(w.t.Context(), "http://"+health+"/readyz") })
}

// process is a program that runs until it is stopped, at the latest at the end
// of the test, where the end of its log is shown if the test failed.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

func start(t *testing.T, log, program string, args ...string) *process {
	t.Helper()
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(context.Background(), program, args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the test to pass on
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	go func() {
		_ = p.cmd.Wait()
		_ = out.Close()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			text, _ := os.ReadFile(log)
			lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
			t.Logf("the end of %s:\n%s", log, bytes.Join(lines[max(0, len(lines)-20):], []byte("\n")))
		}
	})
	return p
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := redistest.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

// eventually waits for f to find no more fault.
func eventually(t *testing.T, what string, within time.Duration, f func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := f()
		if err == nil {
			t.Logf("%s: after %s", what, time.Since(began).Round(100*time.Millisecond))
			return
		}
		if time.Since(began) > within {
			t.Fatalf("%s: not within %s: %v", what, within, err)
		}
		time.Sleep(500 * time.Millisecond)
	}
}
