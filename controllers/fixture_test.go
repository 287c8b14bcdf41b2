// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// catalog is a policy as the API server would return it, without its status.
func catalog(change ...func(*cachev1alpha1.CachePolicy)) *cachev1alpha1.CachePolicy {
	p := &cachev1alpha1.CachePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "catalog", Namespace: "shop", UID: "uid-catalog", Generation: 3},
		Spec: cachev1alpha1.CachePolicySpec{
			Redis:        cachev1alpha1.Redis{Addresses: []string{"redis.shop.svc:6379"}},
			Expire:       span(time.Minute),
			RefreshRatio: "62%",
			GuardTimeout: span(6 * time.Second),
			Keyspaces:    []cachev1alpha1.Keyspace{keyspaceOf("products", "product:{id}", "http://catalog.shop.svc/{id}")},
		},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func keyspaceOf(name, key, url string) cachev1alpha1.Keyspace {
	return cachev1alpha1.Keyspace{
		Name: name, Key: key, OnNotFound: cachev1alpha1.OnNotFoundDelete,
		Loader: cachev1alpha1.Loader{MaxConcurrent: 6, HTTP: &cachev1alpha1.HTTPLoader{URL: url, MaxBodyBytes: 1 << 20}},
	}
}

func span(d time.Duration) *cachev1alpha1.Duration { return &cachev1alpha1.Duration{Duration: d} }

func headerFrom(header, secret, key string) cachev1alpha1.HTTPHeader {
	return cachev1alpha1.HTTPHeader{Name: header, ValueFrom: &cachev1alpha1.HTTPHeaderSource{
		SecretKeyRef: &cachev1alpha1.SecretKeyReference{Name: secret, Key: key}}}
}

func secretOf(data map[string]string) *corev1.Secret {
	s := &corev1.Secret{Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

// authority is a certificate authority for a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	certPEM, _, cert, key := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Keepfresh test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	})
	a.cert, a.key, a.pem = cert, key, certPEM
	return a
}

// issue makes a certificate and its key, as PEM, good for a server on 127.0.0.1
// and for a client.
func (a *authority) issue(name string) (cert, key string) {
	a.t.Helper()
	cert, key, _, _ = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return cert, key
}

func (a *authority) sign(template *x509.Certificate) (certPEM, keyPEM string, cert *x509.Certificate, key *ecdsa.PrivateKey) {
	a.t.Helper()
	fatal := func(err error) {
		if err != nil {
			a.t.Fatal(err)
		}
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)
	parent, parentKey := a.cert, a.key
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	fatal(err)
	cert, err = x509.ParseCertificate(der)
	fatal(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	fatal(err)
	certPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	keyPEM = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return certPEM, keyPEM, cert, key
}
