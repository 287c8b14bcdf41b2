// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	goredis "github.com/redis/go-redis/v9"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/redistest"
)

// holds answers when the client has gone.
func holds(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

var _ = Describe("A Secret", func() {
	It("that is missing is named, and comes into force once it is there", func() {
		w := newWorld("--requirepass", "redis-pa55word")
		w.apply("catalog", keeps("product:1"), loginFrom("login"))
		Eventually(w.says("catalog", ready)).Should(Equal("False SecretNotFound"))
		Expect(w.because("catalog", ready)()).To(ContainSubstring(`no Secret "login"`))
		Expect(w.says("catalog", stalled)()).To(Equal("True SecretNotFound"))

		w.secret("login", map[string]string{"user": "nobody-9182"})
		Eventually(w.because("catalog", ready)).Should(ContainSubstring(`Secret "login" has no key "password"`))

		w.secret("login", map[string]string{"password": "redis-pa55word"})
		w.expectReady("catalog")
		Expect(w.says("catalog", stalled)()).To(BeEmpty())
	})

	It("with a value that no header can hold is refused, until it is corrected", func() {
		w := newWorld()
		w.secret("api", map[string]string{"token": "se\x01cret-one"})
		w.apply("catalog", keeps("product:1"), sends(headerFrom("Authorization", "api", "token")))
		Eventually(w.says("catalog", ready)).Should(Equal("False SecretInvalid"))
		Expect(w.backend.loadsOf("product:1")()).To(BeZero())
		w.secret("api", map[string]string{"token": "secret-two"})
		w.expectReady("catalog")
		Expect(w.backend.header("Authorization")).To(Equal("secret-two"))
	})

	It("that is deleted stalls the policy, whose keys stay fresh meanwhile", func() {
		w := newWorld()
		w.secret("api", map[string]string{"token": "secret-token"})
		w.apply("catalog", keeps("product:1"), sends(headerFrom("Authorization", "api", "token")))
		w.expectReady("catalog")
		s := secretOf(nil)
		s.Name, s.Namespace = "api", w.ns
		Expect(admin.Delete(context.Background(), s)).To(Succeed())
		Eventually(w.says("catalog", stalled)).Should(Equal("True SecretNotFound"))
		loads := w.backend.loadsOf("product:1")()
		Eventually(w.backend.loadsOf("product:1")).Should(BeNumerically(">", loads+1))
		Expect(w.value("product:1")()).NotTo(BeEmpty())
	})

	It("whose password is rotated with that of Redis costs no reload, and seconds at most", func() {
		w := newWorld("--requirepass", "first-pa55word")
		w.secret("login", map[string]string{"password": "first-pa55word"})
		long := w.keyspace("long", "long:{id}", "long:1", "long:2", "long:3")
		long.Expire = span(time.Hour)
		brief := w.keyspace("short", "short:{id}", "short:1")
		w.apply("catalog", withKeyspaces(long, brief), loginFrom("login"))
		w.expectReady("catalog")
		before, _ := running.engine.Snapshot(w.id("catalog"))

		ctx := context.Background()
		Expect(w.rdb.ConfigSet(ctx, "requirepass", "second-pa55word").Err()).To(Succeed())
		Expect(w.rdb.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err()).To(Succeed())
		w.rdb = goredis.NewClient(&goredis.Options{Addr: w.redis.Addr, Password: "second-pa55word", MaxRetries: 3})
		DeferCleanup(w.rdb.Close)
		Eventually(w.says("catalog", ready)).Should(Equal("False AuthenticationFailed"))

		rotated := time.Now()
		w.secret("login", map[string]string{"password": "second-pa55word"})
		Eventually(w.says("catalog", redisOK)).Should(Equal("True Connected"))
		Expect(time.Since(rotated)).To(BeNumerically("<", 10*time.Second))
		loads := w.backend.loadsOf("short:1")()
		Eventually(w.backend.loadsOf("short:1")).Should(BeNumerically(">", loads))
		Expect(w.backend.loadsOf("long:1", "long:2", "long:3")()).To(Equal(3), "the schedule was lost")
		after, _ := running.engine.Snapshot(w.id("catalog"))
		Expect(after.Keyspaces[0].Loads).To(Equal(before.Keyspaces[0].Loads), "the worker was")
		Expect(after.Keyspaces[0].Listed).To(BeTrue())
		w.expectReady("catalog")
	})

	It("holds the CA and the client certificate for TLS", func() {
		ca := newAuthority(GinkgoTB())
		w := newTLSWorld(ca)
		cert, key := ca.issue("operator")
		w.secret("client", map[string]string{"tls.crt": cert, "tls.key": key})
		w.secret("ca", map[string]string{"ca.crt": newAuthority(GinkgoTB()).pem})
		w.apply("catalog", keeps("product:1"), func(p *cachev1alpha1.CachePolicy) {
			p.Spec.Redis.TLS = &cachev1alpha1.RedisTLS{
				CASecretRef:   &cachev1alpha1.CASecretReference{Name: "ca"},
				CertSecretRef: &cachev1alpha1.SecretReference{Name: "client"},
				ServerName:    "redis.example",
			}
		})
		Eventually(w.says("catalog", ready)).Should(Equal("False TLSFailed"), "another authority")

		w.secret("ca", map[string]string{"ca.crt": ca.pem})
		w.expectReady("catalog")

		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) { p.Spec.Redis.TLS.ServerName = "other.example" })
		Eventually(w.says("catalog", ready)).Should(Equal("False TLSFailed"), "another name")
		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) { p.Spec.Redis.TLS.ServerName = "" })
		w.expectReady("catalog")

		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) { p.Spec.Redis.TLS.CertSecretRef = nil })
		Eventually(w.says("catalog", ready)).Should(Equal("False TLSFailed"), "no client certificate")
	})
})

// newTLSWorld is a world whose Redis speaks TLS only, and to those only who have
// a certificate of the authority's.
func newTLSWorld(ca *authority) *world {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	cert, key := ca.issue("redis.example")
	for name, text := range map[string]string{"ca.crt": ca.pem, "tls.crt": cert, "tls.key": key} {
		Expect(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)).To(Succeed())
	}
	w := newWorld()
	addr, err := redistest.FreeAddr()
	Expect(err).NotTo(HaveOccurred())
	w.redis, err = redistest.Run(addr, dir, "--port", "0", "--tls-port", strings.Split(addr, ":")[1],
		"--tls-cert-file", filepath.Join(dir, "tls.crt"), "--tls-key-file", filepath.Join(dir, "tls.key"),
		"--tls-ca-cert-file", filepath.Join(dir, "ca.crt"), "--tls-auth-clients", "yes")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(w.redis.Stop)
	return w
}

var _ = Describe("A Redis", func() {
	It("that refuses the password is told by RedisReachable, and Ready takes it over", func() {
		w := newWorld("--requirepass", "right-pa55word")
		w.secret("login", map[string]string{"password": "wrong-pa55word"})
		w.apply("catalog", keeps("product:1"), loginFrom("login"))
		Eventually(w.says("catalog", redisOK)).Should(Equal("False AuthenticationFailed"))
		Expect(w.says("catalog", ready)()).To(Equal("False AuthenticationFailed"))
		Expect(w.says("catalog", freshOK)()).To(Equal("Unknown FreshnessUnknown"))
		Expect(w.says("catalog", stalled)()).To(BeEmpty())
		Eventually(w.events).Should(ContainElement(HavePrefix("Warning AuthenticationFailed")))
	})

	It("that is gone is told, and so is that it is back", func() {
		w := newWorld()
		w.apply("catalog", keeps("product:1"))
		w.expectReady("catalog")
		w.redis.Stop()
		Eventually(w.says("catalog", redisOK)).Should(Equal("False ConnectionFailed"))
		Expect(w.says("catalog", ready)()).To(Equal("False ConnectionFailed"))
		Expect(w.redis.Start()).To(Succeed())
		w.expectReady("catalog")
		Expect(w.says("catalog", redisOK)()).To(Equal("True Connected"))
		Eventually(w.value("product:1")).ShouldNot(BeEmpty())
		w.expectReady("catalog")
	})
})

var _ = Describe("A loader", func() {
	It("that is down is told with its keyspace, and so is that it is back", func() {
		w := newWorld()
		w.apply("catalog", keeps("product:1", "product:2", "product:3", "product:4"))
		w.expectReady("catalog")
		w.backend.answer(fails)
		Eventually(w.says("catalog", loaderOK)).Should(Equal("False LoadsFailing"))
		Expect(w.because("catalog", loaderOK)()).To(And(ContainSubstring("products"), ContainSubstring("UnexpectedStatus")))
		Expect(w.says("catalog", ready)()).To(Equal("False LoadsFailing"))
		Expect(w.get("catalog").Status.Keyspaces[0].LastFailure.Reason).To(Equal("UnexpectedStatus"))
		w.backend.answer(nil)
		w.expectReady("catalog")
		Expect(w.get("catalog").Status.Keyspaces[0].LastFailure).NotTo(BeNil(), "what failed last stays")
	})

	It("that is too slow is told with both rates, and so is that it is fast enough", func() {
		w := newWorld()
		w.backend.answer(func(rw http.ResponseWriter, _ *http.Request) {
			time.Sleep(100 * time.Millisecond)
			_, _ = rw.Write([]byte("slow"))
		})
		var keys []string
		for i := range 60 {
			keys = append(keys, fmt.Sprintf("product:%d", i))
		}
		w.apply("catalog", keeps(keys...), expires(5*time.Second), withRatio("62%"), func(p *cachev1alpha1.CachePolicy) {
			p.Spec.Keyspaces[0].Loader.MaxConcurrent = 1
		})
		Eventually(w.says("catalog", freshOK)).Should(Equal("False LoaderTooSlow"))
		Expect(w.says("catalog", ready)()).To(Equal("False LoaderTooSlow"))
		Expect(w.because("catalog", freshOK)()).To(MatchRegexp(`^keyspace "products" needs 19 loads/s, gets ([5-9]([.][0-9]+)?|10); of 60 keys, `))
		k := w.get("catalog").Status.Keyspaces[0]
		Expect(k.RequiredLoadsPerSecond).To(Equal("19"))
		Expect(strconv.ParseFloat(k.AchievedLoadsPerSecond, 64)).To(BeNumerically("~", 8, 3))
		w.backend.answer(nil)
		w.expectReady("catalog")
		Eventually(w.says("catalog", freshOK)).Should(Equal("True KeysFresh"))
	})

	It("that answers with secrets has them shown nowhere", func() {
		w := newWorld()
		w.secret("api", map[string]string{"token": "echoed-t0ken"})
		w.backend.answer(func(rw http.ResponseWriter, r *http.Request) {
			http.Error(rw, r.Header.Get("Authorization"), http.StatusForbidden)
		})
		w.apply("catalog", keeps("product:1", "product:2", "product:3"), sends(headerFrom("Authorization", "api", "token")))
		Eventually(w.says("catalog", ready)).Should(Equal("False LoadsFailing"))
		Eventually(w.events).Should(ContainElement(HavePrefix("Warning LoadsFailing")))
		w.expectNoSecrets(context.Background())
	})
})

var _ = Describe("The status", func() {
	It("is written when a condition flips, and not because numbers change", func() {
		w := newWorld()
		w.apply("catalog", withRatio("62%"))
		w.expectReady("catalog")
		writes := w.watch()
		for i := range 50 { // 10 s of new keys, which are listed every 6 s
			w.set(fmt.Sprintf("product:%d", i), "value", 20*time.Second)
			time.Sleep(200 * time.Millisecond)
		}
		Expect(running.exposed()).To(MatchRegexp(`keepfresh_keys\{.*namespace="%s",policy="catalog",state="fresh"\} [1-9]`, w.ns), "the numbers change")
		Expect(*w.get("catalog").Status.Keys).To(BeZero(), "but are not written")
		Expect(writes()).To(BeEmpty())

		w.backend.answer(fails)
		flipped := time.Now()
		w.requestRefresh("catalog", "now")
		Eventually(w.says("catalog", loaderOK)).Should(Equal("False LoadsFailing"))
		Expect(time.Since(flipped)).To(BeNumerically("<", 15*time.Second))
		Expect(*w.get("catalog").Status.Keys).NotTo(BeZero())
	})

	It("is told of in events by transitions only", func() {
		w := newWorld()
		w.apply("catalog", keeps("product:1", "product:2", "product:3"), expires(time.Hour))
		w.expectReady("catalog")
		for i := range 10 { // each has the policy reconciled
			w.edit("catalog", func(p *cachev1alpha1.CachePolicy) {
				metav1.SetMetaDataAnnotation(&p.ObjectMeta, "example.com/touched", strconv.Itoa(i))
			})
			time.Sleep(50 * time.Millisecond)
		}
		w.backend.answer(fails)
		w.requestRefresh("catalog", "now")
		Eventually(w.says("catalog", ready)).Should(Equal("False LoadsFailing"))
		w.backend.answer(nil)
		w.requestRefresh("catalog", "again")
		w.expectReady("catalog")
		Eventually(w.reasons).Should(ContainElement("LoadsFailing"))
		Consistently(w.reasons).WithTimeout(2 * time.Second).Should(WithTransform(times, And(
			HaveKeyWithValue("Discovering", 1), HaveKeyWithValue("LoadsFailing", 1), HaveKeyWithValue("KeepingFresh", BeNumerically("<=", 2)),
		)))
	})
})

// watch returns the resource versions of the policies of the spec since now.
func (w *world) watch() func() []string {
	GinkgoHelper()
	watching, err := admin.Watch(context.Background(), &cachev1alpha1.CachePolicyList{}, client.InNamespace(w.ns))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		watching.Stop()
		for range watching.ResultChan() { // else what it still has to say blocks its end
		}
	})
	var seen []string
	return func() []string {
		for {
			select {
			case e := <-watching.ResultChan():
				if e.Type == watch.Modified {
					seen = append(seen, e.Object.(client.Object).GetResourceVersion())
				}
			case <-time.After(200 * time.Millisecond):
				return seen
			}
		}
	}
}

// reasons are those of the events.
func (w *world) reasons() []string {
	GinkgoHelper()
	var out []string
	for _, e := range w.events() {
		out = append(out, strings.TrimSuffix(strings.Fields(e)[1], ":"))
	}
	return out
}

func times(words []string) map[string]int {
	out := map[string]int{}
	for _, word := range words {
		out[word]++
	}
	return out
}

var _ = Describe("Two policies on one Redis", func() {
	It("share it, but the younger yields exactly the keyspaces that the older claims", func() {
		w := newWorld()
		w.apply("older", keeps("product:1"))
		w.expectReady("older")
		time.Sleep(1100 * time.Millisecond) // ages are told in seconds
		w.apply("younger", withKeyspaces(w.keyspace("mine", "page:{id}", "page:1"), w.keyspace("theirs", "product:{sku}", "product:2")))

		Eventually(w.says("younger", ready)).Should(Equal("False KeyspaceConflict"))
		Expect(w.says("younger", stalled)()).To(Equal("True KeyspaceConflict"))
		Expect(w.because("younger", stalled)()).To(And(ContainSubstring(`"theirs"`), ContainSubstring(w.ns+"/older"), Not(ContainSubstring(`"mine"`))))
		Eventually(w.value("page:1")).ShouldNot(BeEmpty())
		Consistently(w.value("product:2")).WithTimeout(2 * time.Second).Should(BeEmpty())
		Expect(w.says("older", ready)()).To(Equal("True KeepingFresh"))

		w.remove("older")
		w.expectReady("younger")
		Expect(w.says("younger", stalled)()).To(BeEmpty())
		Eventually(w.value("product:2")).ShouldNot(BeEmpty())
	})

	It("part when the older's claim is edited away", func() {
		w := newWorld()
		w.apply("older", keeps("product:1"))
		w.expectReady("older")
		time.Sleep(1100 * time.Millisecond)
		w.apply("younger", keeps("product:2"))
		Eventually(w.says("younger", ready)).Should(Equal("False KeyspaceConflict"))
		Expect(w.atWork("younger")).To(BeFalse())
		w.edit("older", func(p *cachev1alpha1.CachePolicy) {
			p.Spec.Keyspaces = []cachev1alpha1.Keyspace{w.keyspace("pages", "page:{id}", "page:1")}
		})
		w.expectReady("younger")
		w.expectReady("older")

		w.edit("older", func(p *cachev1alpha1.CachePolicy) { // and back again
			p.Spec.Keyspaces = append(p.Spec.Keyspaces, w.keyspace("products", "product:{id}", "product:1"))
		})
		Eventually(w.says("younger", stalled)).Should(Equal("True KeyspaceConflict"))
		Eventually(func() bool { return w.atWork("younger") }).Should(BeFalse())
		w.expectReady("older")
	})

	It("of different databases, or of other keys, do not know of each other", func() {
		w := newWorld()
		w.apply("one", keeps("product:1"))
		w.apply("other", keeps("product:1"), func(p *cachev1alpha1.CachePolicy) { p.Spec.Redis.Database = 1 })
		w.apply("third", withKeyspaces(w.keyspace("pages", "page:{id}", "page:1")))
		for _, name := range []string{"one", "other", "third"} {
			w.expectReady(name)
		}
	})
})

var _ = Describe("The operator", Serial, func() {
	It("goes on after a restart with what it knew, and without a burst", func() {
		w := newWorld()
		w.backend.answer(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late:1" && w.backend.loadsOf("late:1")() <= 1 {
				fails(rw, r)
				return
			}
			_, _ = rw.Write([]byte("value"))
		})
		keys := []string{"long:1", "long:2", "long:3"}
		w.apply("catalog", withKeyspaces(w.keyspace("long", "long:{id}", keys...), w.keyspace("late", "late:{id}", "late:1")), expires(time.Hour))
		w.expectReady("catalog")
		Eventually(func() *cachev1alpha1.Failure { return w.get("catalog").Status.Keyspaces[1].LastFailure }).WithTimeout(40 * time.Second).ShouldNot(BeNil())
		before := w.get("catalog").Status

		running.stop()
		Expect(w.guards()).To(BeEmpty())
		running = startOperator(ctrl.Log, user, nil)
		Eventually(func() bool { return w.atWork("catalog") }).Should(BeTrue())
		Eventually(func() bool {
			s, _ := running.engine.Snapshot(w.id("catalog"))
			return s.Keyspaces[0].Converged && s.Keyspaces[1].Converged
		}).Should(BeTrue())
		w.expectReady("catalog")

		after := w.get("catalog").Status
		Expect(after.LastRefreshTime.Before(before.LastRefreshTime)).To(BeFalse())
		Expect(after.Keyspaces[1].LastFailure).To(Equal(before.Keyspaces[1].LastFailure))
		Expect(after.Keyspaces[0].LastRefreshTime).To(Equal(before.Keyspaces[0].LastRefreshTime))
		Consistently(w.backend.loadsOf(keys...)).WithTimeout(time.Second).Should(Equal(3))
	})

	It("goes on refreshing while the API server is gone, and takes in what changed meanwhile", func() {
		w := newWorld()
		w.apply("catalog", keeps("product:1"))
		w.expectReady("catalog")
		gateway.set(true)
		DeferCleanup(gateway.set, false)
		loads := w.backend.loadsOf("product:1")()
		Consistently(w.value("product:1")).WithTimeout(6 * time.Second).ShouldNot(BeEmpty())
		Eventually(w.backend.loadsOf("product:1")).Should(BeNumerically(">=", loads+2))
		w.edit("catalog", func(p *cachev1alpha1.CachePolicy) {
			p.Spec.Keyspaces[0].Source.Keys = []string{"product:1", "product:2"}
		})
		gateway.set(false)
		Eventually(w.value("product:2")).WithTimeout(time.Minute).ShouldNot(BeEmpty())
		Eventually(func() int64 { return w.get("catalog").Status.ObservedGeneration }).WithTimeout(time.Minute).Should(BeEquivalentTo(2))
		w.expectReady("catalog")
	})
})
