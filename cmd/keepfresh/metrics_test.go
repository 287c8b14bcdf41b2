// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// secured runs the operator with its metrics as they are unless flags say
// otherwise: by HTTPS, and for those only who may get them.
func secured(t *testing.T, binary string, c *cluster) {
	c.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "keepfresh-auth-delegator"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "keepfresh-manager"}},
	}, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics-reader"},
		Rules:      []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
	}, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics-reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "prometheus"}},
	})
	reader, stranger := c.token(t, "prometheus"), c.token(t, "stranger")

	certs := t.TempDir()
	first := writeCertificate(t, certs)
	o := start(t, binary, "--kubeconfig="+c.kubeconfig(t, "keepfresh-manager"), "--metrics-secure", "--metrics-cert-dir="+certs)
	url := strings.Replace(o.metrics, "http:", "https:", 1) + "/metrics"
	o.eventually(t, "metrics are served", func() bool { return scrape(t, url, reader, first).code == http.StatusOK })

	for name, try := range map[string]struct {
		token string
		code  int
	}{
		"nobody in particular":       {"", http.StatusUnauthorized},
		"a token that is made up":    {"made-up", http.StatusUnauthorized},
		"one without the right":      {stranger, http.StatusForbidden},
		"one who may get metrics":    {reader, http.StatusOK},
		"a token that was cut short": {reader[:len(reader)-9], http.StatusUnauthorized},
	} {
		answer := scrape(t, url, try.token, first)
		if answer.code != try.code {
			t.Errorf("%s gets %d instead of %d: %s", name, answer.code, try.code, answer.body)
		}
		if shown := strings.Contains(answer.body, "keepfresh_build_info"); shown != (try.code == http.StatusOK) {
			t.Errorf("%s is shown metrics: %t", name, shown)
		}
		if try.token != "" && strings.Contains(answer.body+o.log.String(), try.token) {
			t.Errorf("the token of %s is told", name)
		}
	}
	if code, body := fetch(o.metrics + "/metrics"); code != http.StatusBadRequest || strings.Contains(body, "keepfresh_") {
		t.Errorf("plain HTTP is answered with %d: %s", code, body)
	}
	old := scrapeWith(t, url, reader, &tls.Config{RootCAs: first, MaxVersion: tls.VersionTLS11})
	if old.code != 0 {
		t.Errorf("TLS 1.1 is answered with %d", old.code)
	}

	second := writeCertificate(t, certs)
	o.eventually(t, "the new certificate is served", func() bool { return scrape(t, url, reader, second).code == http.StatusOK })
	if answer := scrape(t, url, reader, first); answer.code != 0 {
		t.Error("the former certificate is served still")
	}
	write(t, filepath.Join(certs, "tls.crt"), []byte("half a certifi"))
	o.eventually(t, "the broken certificate is told in the log", func() bool { return strings.Contains(o.log.String(), "failed to find any PEM data") })
	if answer := scrape(t, url, reader, second); answer.code != http.StatusOK {
		t.Errorf("with a broken certificate in its folder, the last good one is not served: %d", answer.code)
	}
	if code := o.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// selfSigned runs the operator without a certificate, and without the right to
// ask the API server about tokens: that is a failure, not a way in.
func selfSigned(t *testing.T, binary string, c *cluster) {
	o := start(t, binary, "--kubeconfig="+c.kubeconfig(t, "nobody"), "--metrics-secure")
	url := strings.Replace(o.metrics, "http:", "https:", 1) + "/metrics"
	trusting := &tls.Config{InsecureSkipVerify: true}
	o.eventually(t, "no token, no metrics", func() bool { return scrapeWith(t, url, "", trusting).code == http.StatusUnauthorized })
	if answer := scrapeWith(t, url, c.token(t, "prometheus"), trusting); answer.code != http.StatusInternalServerError {
		t.Errorf("a token that cannot be reviewed gets %d: %s", answer.code, answer.body)
	}
}

// halfAsked runs the operator with the right to ask the API server whose a token is, but
// not what its owner may do.
func halfAsked(t *testing.T, binary string, c *cluster) {
	c.create(t, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "token-reviewer"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{authenticationv1.GroupName}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}}},
	}, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "token-reviewer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "token-reviewer"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "token-reviewer"}},
	})
	o := start(t, binary, "--kubeconfig="+c.kubeconfig(t, "token-reviewer"), "--metrics-secure")
	url := strings.Replace(o.metrics, "http:", "https:", 1) + "/metrics"
	trusting := &tls.Config{InsecureSkipVerify: true}
	o.eventually(t, "a token that is made up gets 401", func() bool {
		return scrapeWith(t, url, "made-up", trusting).code == http.StatusUnauthorized
	})
	good := c.token(t, "prometheus")
	for _, header := range []string{"Bearer " + good, "bearer " + good} {
		if answer := scrapeWith(t, url, header, trusting); answer.code != http.StatusInternalServerError {
			t.Errorf("a good token, whose owner's rights cannot be asked for, gets %d: %s", answer.code, answer.body)
		}
	}
	for _, header := range []string{"bearer made-up", "BEARER made-up more"} {
		if answer := scrapeWith(t, url, header, trusting); answer.code != http.StatusUnauthorized {
			t.Errorf("%q gets %d: %s", header, answer.code, answer.body)
		}
	}
}

func unserved(t *testing.T, binary string, c *cluster) {
	o := start(t, binary, "--kubeconfig="+c.kubeconfig(t, "keepfresh-manager"), "--metrics-secure", "--metrics-bind-address=0")
	o.eventually(t, "/readyz answers 200", func() bool { return o.status(o.probes+"/readyz") == http.StatusOK })
	if code := o.status(o.metrics + "/metrics"); code != 0 {
		t.Errorf("metrics are served: %d", code)
	}
	if log := o.log.String(); strings.Contains(log, "metrics server") {
		t.Error("a server for metrics was started")
	}
}

// token returns that of a service account, which need not exist yet.
func (c *cluster) token(t *testing.T, name string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	if err := c.admin.Create(t.Context(), account); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	request := &authenticationv1.TokenRequest{}
	if err := c.admin.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// writeCertificate puts tls.crt and tls.key into the folder, and returns whom
// to trust for them.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: rand.Text()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	write(t, filepath.Join(dir, "tls.crt"), cert)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

// answer has the code 0 if there was none.
type answer struct {
	code int
	body string
}

func scrape(t *testing.T, url, token string, trusted *x509.CertPool) answer {
	t.Helper()
	return scrapeWith(t, url, token, &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12})
}

// scrapeWith sends a token, or a whole header of two words.
func scrapeWith(t *testing.T, url, token string, conf *tls.Config) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case strings.Contains(token, " "):
		request.Header.Set("Authorization", token)
	case token != "":
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return answer{response.StatusCode, string(body)}
}
