// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// What a policy's author names may be a server that he himself cannot reach. Of what that
// answers nothing is told but, for a loader, the status.
var _ = Describe("What a server answers", func() {
	const told = "int3rnal-detail"

	It("is told nowhere, whatever a loader answers", func() {
		w := newWorld()
		w.secrets = append(w.secrets, told)
		answers := map[string]http.HandlerFunc{
			"a value":      func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, told) },
			"an error":     func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, told, http.StatusInternalServerError) },
			"no such page": func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, told, http.StatusNotFound) },
			"a redirect": func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "http://"+told+".example/"+told, http.StatusFound)
			},
			"a pause": func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Retry-After", told)
				http.Error(rw, told, http.StatusServiceUnavailable)
			},
			"a login": func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("WWW-Authenticate", "Basic realm="+told)
				http.Error(rw, told, http.StatusUnauthorized)
			},
			"a body that ends too early": func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Length", "500")
				_, _ = io.WriteString(rw, told)
			},
			"a body that is no gzip": func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Encoding", "gzip")
				_, _ = io.WriteString(rw, told)
			},
			"an encoding of its own": func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Encoding", told)
				z := gzip.NewWriter(rw)
				_, _ = io.WriteString(z, told)
				_ = z.Close()
			},
			"what is no HTTP": func(rw http.ResponseWriter, _ *http.Request) {
				conn, _, _ := http.NewResponseController(rw).Hijack()
				_, _ = io.WriteString(conn, "SSH-2.0-"+told+"\r\n")
				_ = conn.Close()
			},
			"a status text of its own": func(rw http.ResponseWriter, _ *http.Request) {
				conn, _, _ := http.NewResponseController(rw).Hijack()
				_, _ = io.WriteString(conn, "HTTP/1.1 500 "+told+"\r\nContent-Length: 0\r\nX: "+told+"\r\n\r\n")
				_ = conn.Close()
			},
			"a broken header": func(rw http.ResponseWriter, _ *http.Request) {
				conn, _, _ := http.NewResponseController(rw).Hijack()
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+told+"\r\n\r\n")
				_ = conn.Close()
			},
		}
		w.backend.answer(func(rw http.ResponseWriter, r *http.Request) {
			name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), ":1")
			answers[strings.ReplaceAll(name, "-", " ")](rw, r)
		})
		for i, name := range slices.Sorted(maps.Keys(answers)) {
			key := strings.ReplaceAll(name, " ", "-") + ":1"
			w.apply(fmt.Sprintf("p%d", i), func(p *cachev1alpha1.CachePolicy) {
				p.Spec.Keyspaces = []cachev1alpha1.Keyspace{w.keyspace("one", strings.TrimSuffix(key, "1")+"{id}", key)}
				if i%2 == 0 { // by net/http's transport, too: what that tells is another matter
					p.Spec.Keyspaces[0].Loader.HTTP.URL = strings.Replace(w.backend.URL, "http:", "https:", 1) + "/{key}"
				}
			})
			w.apply(fmt.Sprintf("q%d", i), func(p *cachev1alpha1.CachePolicy) {
				p.Spec.Redis.Database = 1
				p.Spec.Keyspaces = []cachev1alpha1.Keyspace{w.keyspace("one", strings.TrimSuffix(key, "1")+"{id}", key)}
			})
		}
		for i, name := range slices.Sorted(maps.Keys(answers)) {
			Eventually(w.backend.loadsOf(strings.ReplaceAll(name, " ", "-")+":1")).Should(BeNumerically(">", 1), name)
			for _, policy := range []string{fmt.Sprintf("p%d", i), fmt.Sprintf("q%d", i)} {
				w.explain(policy, strings.ReplaceAll(name, " ", "-")+":1")
			}
		}
		w.expectNoSecrets(context.Background())
	})

	It("is told nowhere, if what is named as Redis is something else", func() {
		w := newWorld()
		w.secrets = append(w.secrets, told)
		for i, answer := range []string{"-ERR " + told + "\r\n", "-NOAUTH " + told + "\r\n", "HTTP/1.1 400 " + told + "\r\n\r\n", "220 " + told + " ESMTP\r\n", "+" + told + "\r\n", "$5\r\n" + told, "-LOADING " + told + "\r\n", "-MOVED 1 " + told + ":6379\r\n"} {
			name := fmt.Sprintf("r%d", i)
			address := answering(answer)
			w.apply(name, keeps("product:1"), func(p *cachev1alpha1.CachePolicy) { p.Spec.Redis.Addresses = []string{address} })
			Eventually(w.says(name, redisOK)).Should(HavePrefix("False"), answer)
			w.explain(name, "product:1")
		}
		w.expectNoSecrets(context.Background())
	})
})

// answering is a server that says the same to everything.
func answering(text string) string {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer func() { _ = conn.Close() }()
				b := make([]byte, 1<<12)
				for {
					if _, err := conn.Read(b); err != nil {
						return
					}
					_, _ = io.WriteString(conn, strings.Repeat(text, 20)) // for each command of a pipeline
				}
			})
		}
	})
	DeferCleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	return listener.Addr().String()
}

// Whoever may write policies in one namespace must not get at the Secrets of another.
var _ = Describe("The Secrets of another namespace", func() {
	It("are out of reach", func() {
		mine, theirs := newWorld(), newWorld()
		theirs.secret("api", map[string]string{"token": "theirs-t0ken", "password": "theirs-pa55"})
		mine.secrets = append(mine.secrets, "theirs-t0ken", "theirs-pa55")

		for _, name := range []string{theirs.ns + "/api", "../" + theirs.ns + "/api", "api?namespace=" + theirs.ns, "API", "api%2f..", "..", ""} {
			p := mine.policy("refused", keeps("product:1"), sends(headerFrom("Authorization", name, "token")))
			Expect(admin.Create(context.Background(), p)).To(MatchError(ContainSubstring("secretKeyRef.name")), name)
			p = mine.policy("refused", keeps("product:1"), loginFrom(name))
			Expect(admin.Create(context.Background(), p)).To(MatchError(ContainSubstring("secretRef.name")), name)
		}
		pointer := map[string]string{
			"namespace": theirs.ns, "keepfresh.dev/secret-namespace": theirs.ns, "cache.keepfresh.dev/namespace": theirs.ns,
			cachev1alpha1.RefreshRequestedAtAnnotation: theirs.ns + "/api", cachev1alpha1.RefreshKeyspacesAnnotation: theirs.ns + "/api",
		}
		mine.apply("catalog", keeps("product:1"), sends(headerFrom("Authorization", "api", "token")), func(p *cachev1alpha1.CachePolicy) { p.Annotations = pointer })
		mine.apply("login", keeps("product:1"), loginFrom("api"), func(p *cachev1alpha1.CachePolicy) {
			p.Annotations, p.Spec.Redis.Database = pointer, 1
		})
		for _, name := range []string{"catalog", "login"} {
			Eventually(mine.says(name, ready)).Should(Equal("False SecretNotFound"))
		}
		// A Secret of the same name that lies here is another one.
		create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: mine.ns}, StringData: map[string]string{"token": "mine", "password": "x"}})
		mine.expectReady("catalog")
		Eventually(func() string { return mine.backend.header("Authorization") }).Should(Equal("mine"))
		for _, name := range []string{theirs.ns + "/catalog", "../" + theirs.ns} { // of a policy there
			q := &cachev1alpha1.KeyExplanation{ObjectMeta: metav1.ObjectMeta{GenerateName: "explain-", Namespace: mine.ns},
				Spec: cachev1alpha1.KeyExplanationSpec{PolicyName: name, Key: "product:1"}}
			if err := admin.Create(context.Background(), q); err == nil {
				Eventually(func() string {
					Expect(admin.Get(context.Background(), client.ObjectKeyFromObject(q), q)).To(Succeed())
					return q.Status.Reason
				}).ShouldNot(BeEmpty())
				Expect(q.Status.Owned).To(BeFalse())
			}
		}
		mine.expectNoSecrets(context.Background())
	})
})
