// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// scrape reads the metrics as Prometheus would: by TLS, with a service
// account's token, and the chart's role for it.
func scrape(ctx context.Context) {
	url := forward(ctx, operators(ctx)[0].Name, 8443)
	Expect(get(ctx, url, "")).To(Equal(http.StatusUnauthorized))

	reader := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: shopSpace, Name: "prometheus"}}
	Expect(k8s.Create(ctx, reader)).To(Succeed())
	request, err := clientset.CoreV1().ServiceAccounts(shopSpace).CreateToken(ctx, reader.Name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	Expect(get(ctx, url, request.Status.Token)).To(Equal(http.StatusForbidden))

	Expect(k8s.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "keepfresh-e2e-metrics"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: release + "-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: shopSpace, Name: reader.Name}},
	})).To(Succeed())
	DeferCleanup(clientset.RbacV1().ClusterRoleBindings().Delete, "keepfresh-e2e-metrics", metav1.DeleteOptions{})
	// A refusal is remembered for a while.
	Eventually(func() int { return get(ctx, url, request.Status.Token) }).Should(Equal(http.StatusOK))
}

func get(ctx context.Context, url, token string) int {
	GinkgoHelper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	Expect(err).NotTo(HaveOccurred())
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	// The certificate is one that the operator signed itself.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	if resp.StatusCode == http.StatusOK {
		Expect(string(body)).To(ContainSubstring(`keepfresh_keys{keyspace="products",namespace="shop",policy="catalog",state="fresh"}`))
	}
	return resp.StatusCode
}

// forward opens a port of a Pod on this machine until the spec ends.
func forward(ctx context.Context, pod string, port int) string {
	GinkgoHelper()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	Expect(err).NotTo(HaveOccurred())
	target := clientset.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name(pod).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	stop, ready, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	forwarder, err := portforward.New(dialer, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, &bytes.Buffer{})
	Expect(err).NotTo(HaveOccurred())
	go func() { ended <- forwarder.ForwardPorts() }()
	DeferCleanup(func() {
		close(stop)
		Expect(<-ended).To(Or(Succeed(), MatchError(portforward.ErrLostConnectionToPod)))
	})
	Eventually(ready).WithContext(ctx).Should(BeClosed())
	ports, err := forwarder.GetPorts()
	Expect(err).NotTo(HaveOccurred())
	return fmt.Sprintf("https://localhost:%d", ports[0].Local)
}
