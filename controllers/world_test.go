// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	goredis "github.com/redis/go-redis/v9"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher"
)

// The conditions, as the specs call them.
const (
	ready    = cachev1alpha1.ConditionReady
	redisOK  = cachev1alpha1.ConditionRedisReachable
	loaderOK = cachev1alpha1.ConditionLoadersHealthy
	freshOK  = cachev1alpha1.ConditionFresh
	stalled  = cachev1alpha1.ConditionStalled
	warned   = cachev1alpha1.ConditionWarning
)

// world is what a spec has to itself: a namespace, a Redis, and a loader.
type world struct {
	ns      string
	redis   *redistest.Server
	rdb     *goredis.Client
	backend *backend
	secrets []string // values that must not be seen anywhere
}

// newWorld makes a world, with a Redis that is started with args. When the spec
// has ended, whatever it was about, nothing must be left at work, no guard in
// Redis, and no value of a Secret anywhere.
func newWorld(args ...string) *world {
	GinkgoHelper()
	w := &world{redis: redistest.Start(GinkgoTB(), args...), backend: newBackend()}
	w.rdb = goredis.NewClient(&goredis.Options{Addr: w.redis.Addr, Password: password(args), MaxRetries: 3})
	DeferCleanup(w.rdb.Close)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "spec-"}}
	create(ns)
	w.ns = ns.Name
	DeferCleanup(w.end)
	return w
}

func password(args []string) string {
	if i := slices.Index(args, "--requirepass"); i >= 0 {
		return args[i+1]
	}
	return ""
}

func (w *world) end(ctx context.Context) {
	w.expectNoSecrets(ctx)
	var policies cachev1alpha1.CachePolicyList
	Expect(admin.List(ctx, &policies, client.InNamespace(w.ns))).To(Succeed())
	for i := range policies.Items {
		Expect(client.IgnoreNotFound(admin.Delete(ctx, &policies.Items[i]))).To(Succeed())
		Eventually(func() bool { return w.atWork(policies.Items[i].Name) }).Should(BeFalse(), "the engine has not let go of the policy")
	}
	Eventually(running.exposed).ShouldNot(ContainSubstring(fmt.Sprintf("namespace=%q", w.ns)), "metrics are left")
}

// expectNoSecrets looks for the values of Secrets wherever somebody may look.
func (w *world) expectNoSecrets(ctx context.Context) {
	GinkgoHelper()
	if len(w.secrets) == 0 {
		return
	}
	var policies cachev1alpha1.CachePolicyList
	Expect(admin.List(ctx, &policies, client.InNamespace(w.ns))).To(Succeed())
	status, err := json.Marshal(policies)
	Expect(err).NotTo(HaveOccurred())
	events, err := json.Marshal(w.events())
	Expect(err).NotTo(HaveOccurred())
	var explained cachev1alpha1.KeyExplanationList
	Expect(admin.List(ctx, &explained, client.InNamespace(w.ns))).To(Succeed())
	answers, err := json.Marshal(explained)
	Expect(err).NotTo(HaveOccurred())
	for where, text := range map[string]string{
		"a status": string(status), "an event": string(events), "an answer": string(answers), "the log": logged.String(), "the metrics": running.exposed(),
	} {
		for _, secret := range w.secrets {
			for line := range strings.Lines(secret) { // of which a PEM has many
				line = strings.TrimSpace(line)
				Expect(strings.Contains(text, line)).To(BeFalse(), "%s holds the secret %q", where, line)
			}
		}
	}
}

// policy is a policy of the spec's, not yet created. Without a change it keeps
// the keys product:{id} that exist. A key is due after 2 s of 20, and a machine
// that stands still for some seconds changes no condition.
func (w *world) policy(name string, change ...func(*cachev1alpha1.CachePolicy)) *cachev1alpha1.CachePolicy {
	p := &cachev1alpha1.CachePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.ns},
		Spec: cachev1alpha1.CachePolicySpec{
			Redis:        cachev1alpha1.Redis{Addresses: []string{w.redis.Addr}},
			Expire:       span(20 * time.Second),
			RefreshRatio: "10%",
			GuardTimeout: span(8 * time.Second),
			Keyspaces:    []cachev1alpha1.Keyspace{w.keyspace("products", "product:{id}")},
		},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

// keyspace is a keyspace that loads from the spec's loader: the value of a:1 is
// that of the path /a:1.
func (w *world) keyspace(name, key string, keys ...string) cachev1alpha1.Keyspace {
	k := keyspaceOf(name, key, w.backend.URL+"/{key}")
	if len(keys) > 0 {
		k.Source = &cachev1alpha1.Source{Keys: keys}
	}
	return k
}

// keeps has a policy fill and keep keys of the keyspace products.
func keeps(keys ...string) func(*cachev1alpha1.CachePolicy) {
	return func(p *cachev1alpha1.CachePolicy) { p.Spec.Keyspaces[0].Source = &cachev1alpha1.Source{Keys: keys} }
}

func expires(d time.Duration) func(*cachev1alpha1.CachePolicy) {
	return func(p *cachev1alpha1.CachePolicy) { p.Spec.Expire = span(d) }
}

func withRatio(r cachev1alpha1.Percentage) func(*cachev1alpha1.CachePolicy) {
	return func(p *cachev1alpha1.CachePolicy) { p.Spec.RefreshRatio = r }
}

func withKeyspaces(ks ...cachev1alpha1.Keyspace) func(*cachev1alpha1.CachePolicy) {
	return func(p *cachev1alpha1.CachePolicy) { p.Spec.Keyspaces = ks }
}

func loginFrom(secret string) func(*cachev1alpha1.CachePolicy) {
	return func(p *cachev1alpha1.CachePolicy) {
		p.Spec.Redis.Auth = &cachev1alpha1.RedisAuth{SecretRef: cachev1alpha1.SecretReference{Name: secret}}
	}
}

func sends(headers ...cachev1alpha1.HTTPHeader) func(*cachev1alpha1.CachePolicy) {
	return func(p *cachev1alpha1.CachePolicy) { p.Spec.Keyspaces[0].Loader.HTTP.Headers = headers }
}

// short makes keys live for a second, and lateness count soon.
func short(p *cachev1alpha1.CachePolicy) {
	p.Spec.Expire, p.Spec.GuardTimeout = span(time.Second), span(300*time.Millisecond)
}

// apply creates a policy.
func (w *world) apply(name string, change ...func(*cachev1alpha1.CachePolicy)) {
	GinkgoHelper()
	create(w.policy(name, change...))
}

// edit changes a policy as a user would.
func (w *world) edit(name string, change func(*cachev1alpha1.CachePolicy)) {
	GinkgoHelper()
	p := w.get(name)
	before := p.DeepCopy()
	change(p)
	Expect(admin.Patch(context.Background(), p, client.MergeFrom(before))).To(Succeed())
}

func (w *world) get(name string) *cachev1alpha1.CachePolicy {
	GinkgoHelper()
	p := &cachev1alpha1.CachePolicy{}
	Expect(admin.Get(context.Background(), client.ObjectKey{Namespace: w.ns, Name: name}, p)).To(Succeed())
	return p
}

func (w *world) remove(name string) {
	GinkgoHelper()
	Expect(admin.Delete(context.Background(), w.policy(name))).To(Succeed())
}

func (w *world) requestRefresh(name, token string) {
	GinkgoHelper()
	w.edit(name, func(p *cachev1alpha1.CachePolicy) {
		p.Annotations = map[string]string{cachev1alpha1.RefreshRequestedAtAnnotation: token}
	})
}

// secret creates a Secret, or replaces what it holds.
func (w *world) secret(name string, data map[string]string) {
	GinkgoHelper()
	s := secretOf(data)
	s.Name, s.Namespace = name, w.ns
	w.secrets = append(w.secrets, slices.Collect(maps.Values(data))...)
	if err := admin.Update(context.Background(), s); client.IgnoreNotFound(err) != nil || err == nil {
		Expect(err).NotTo(HaveOccurred())
		return
	}
	create(s)
}

// says is a condition as "True Reason", or "" if it is not there.
func (w *world) says(name, kind string) func() string {
	return func() string { return conditions(w.get(name).Status)[kind] }
}

// because is a condition's message.
func (w *world) because(name, kind string) func() string {
	return func() string {
		if c := apimeta.FindStatusCondition(w.get(name).Status.Conditions, kind); c != nil {
			return c.Message
		}
		return ""
	}
}

func (w *world) expectReady(name string) {
	GinkgoHelper()
	Eventually(func() string {
		if p := w.get(name); p.Status.ObservedGeneration != p.Generation {
			return "of an older spec"
		}
		return w.says(name, ready)()
	}).Should(Equal("True KeepingFresh"))
}

func (w *world) id(name string) refresher.ID { return refresher.ID{Namespace: w.ns, Name: name} }

func (w *world) atWork(name string) bool {
	_, ok := running.engine.Snapshot(w.id(name))
	return ok
}

// events are those told in the spec's namespace, as "Normal Reason: note", one
// for each time they were told.
func (w *world) events() []string {
	GinkgoHelper()
	var list eventsv1.EventList
	Expect(admin.List(context.Background(), &list, client.InNamespace(w.ns))).To(Succeed())
	var out []string
	for _, e := range list.Items {
		times := 1
		if e.Series != nil {
			times = int(e.Series.Count)
		}
		for range times {
			out = append(out, fmt.Sprintf("%s %s: %s", e.Type, e.Reason, e.Note))
		}
	}
	return out
}

func (w *world) set(key, value string, ttl time.Duration) {
	GinkgoHelper()
	Expect(w.rdb.Set(context.Background(), key, value, ttl).Err()).To(Succeed())
}

// value is what a key holds, or "" if it is missing.
func (w *world) value(key string) func() string {
	return func() string { return w.rdb.Get(context.Background(), key).Val() }
}

// guards are the operator's own keys in Redis.
func (w *world) guards() []string {
	GinkgoHelper()
	keys, err := w.rdb.Keys(context.Background(), "keepfresh:*").Result()
	Expect(err).NotTo(HaveOccurred())
	return keys
}

// backend is a loader that answers /a with "a load 3", and counts.
type backend struct {
	*httptest.Server
	mu      sync.Mutex
	loads   map[string]int
	handle  http.HandlerFunc // answers instead, if set
	headers http.Header      // of the last request
}

func newBackend() *backend {
	b := &backend{loads: map[string]int{}}
	b.Server = httptest.NewServer(b)
	DeferCleanup(b.Close)
	return b
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.URL.Path, "/")
	b.mu.Lock()
	b.loads[key]++
	b.headers = r.Header
	load, handle := b.loads[key], b.handle
	b.mu.Unlock()
	if handle != nil {
		handle(w, r)
		return
	}
	_, _ = fmt.Fprintf(w, "%s load %d", key, load)
}

// answer has the loader answer otherwise; nil ends that.
func (b *backend) answer(h http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handle = h
}

func fails(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

// loadsOf is how often keys have been loaded.
func (b *backend) loadsOf(keys ...string) func() int {
	return func() (n int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, key := range keys {
			n += b.loads[key]
		}
		return n
	}
}

func (b *backend) header(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.headers.Get(name)
}
