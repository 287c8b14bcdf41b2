// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package redisconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

// authority is a CA of a test's own.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return &authority{cert, key, encode("CERTIFICATE", der)}
}

// issue returns a certificate and its key for a name, in PEM.
func (a *authority) issue(t *testing.T, name string, until time.Time) (cert, key string) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	private := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	check(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	check(t, err)
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// startTLS runs a Redis that speaks TLS only.
func startTLS(t *testing.T, a *authority, cert, key string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"ca.crt": a.pem, "tls.crt": cert, "tls.key": key} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	addr, err := redistest.FreeAddr()
	check(t, err)
	_, port, _ := net.SplitHostPort(addr)
	s, err := redistest.Run(addr, dir, append([]string{
		"--port", "0", "--tls-port", port, "--tls-ca-cert-file", filepath.Join(dir, "ca.crt"),
		"--tls-cert-file", filepath.Join(dir, "tls.crt"), "--tls-key-file", filepath.Join(dir, "tls.key"),
	}, args...)...)
	check(t, err)
	t.Cleanup(s.Stop)
	return addr
}

func TestTLS(t *testing.T) {
	t.Parallel()
	const name = "redis.shop.svc"
	ours, others := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	cert, key := ours.issue(t, name, hour)
	client, clientKey := ours.issue(t, "keepfresh", hour)
	stranger, strangerKey := others.issue(t, "keepfresh", hour)
	expired, expiredKey := ours.issue(t, name, time.Now().Add(-time.Hour))

	open := startTLS(t, ours, cert, key, "--tls-auth-clients", "no")
	mutual := startTLS(t, ours, cert, key, "--tls-auth-clients", "yes")
	late := startTLS(t, ours, expired, expiredKey, "--tls-auth-clients", "no")
	old := startTLS(t, ours, cert, key, "--tls-auth-clients", "no", "--tls-protocols", "TLSv1.1")
	plain := redistest.Start(t).Addr

	for sentence, c := range map[string]struct {
		addr string
		tls  TLS
		want Reason
		part string
	}{
		"all is well":                     {open, TLS{true, ours.pem, "", "", name}, Connected, ""},
		"a dotted name of a certificate":  {open, TLS{true, ours.pem, "", "", name + "."}, Connected, ""},
		"a client certificate too many":   {open, TLS{true, ours.pem, client, Secret(clientKey), name}, Connected, ""},
		"another's CA":                    {open, TLS{true, others.pem, "", "", name}, TLSFailed, "unknown authority"},
		"the system's CAs":                {open, TLS{true, "", "", "", name}, TLSFailed, "unknown authority"},
		"another name":                    {open, TLS{true, ours.pem, "", "", "other.svc"}, TLSFailed, "other.svc"},
		"the address as the name":         {open, TLS{true, ours.pem, "", "", ""}, TLSFailed, "127.0.0.1"},
		"an expired certificate":          {late, TLS{true, ours.pem, "", "", name}, TLSFailed, "expired"},
		"an old version of TLS":           {old, TLS{true, ours.pem, "", "", name}, TLSFailed, "version"},
		"no TLS where it is wanted":       {open, TLS{}, ConnectionFailed, "redis.tls"},
		"TLS where it is not spoken":      {plain, TLS{true, ours.pem, "", "", name}, ConnectionFailed, "redis.tls"},
		"a client certificate":            {mutual, TLS{true, ours.pem, client, Secret(clientKey), name}, Connected, ""},
		"a client certificate is missing": {mutual, TLS{true, ours.pem, "", "", name}, TLSFailed, "certificate"},
		"a stranger's client certificate": {mutual, TLS{true, ours.pem, stranger, Secret(strangerKey), name}, TLSFailed, "certificate"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			wantProbe(t, Config{Address: c.addr, TLS: c.tls}, c.want, c.part)
		})
	}
}

func TestTLSMaterialThatCannotBeUsed(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue(t, "keepfresh", time.Now().Add(time.Hour))
	_, otherKey := a.issue(t, "keepfresh", time.Now().Add(time.Hour))
	for sentence, c := range map[string]struct {
		conf Config
		part string
	}{
		"the CA is no PEM":                                      {Config{Address: "h:1", TLS: TLS{Enabled: true, CA: "x"}}, "CA"},
		"the certificate is no PEM":                             {Config{Address: "h:1", TLS: TLS{Enabled: true, Cert: "x", Key: Secret(key)}}, "client certificate"},
		"the key is no PEM":                                     {Config{Address: "h:1", TLS: TLS{Enabled: true, Cert: cert, Key: password}}, "client certificate"},
		"the key is missing":                                    {Config{Address: "h:1", TLS: TLS{Enabled: true, Cert: cert}}, "client certificate"},
		"the certificate is missing":                            {Config{Address: "h:1", TLS: TLS{Enabled: true, Key: Secret(key)}}, "client certificate"},
		"the key is another's":                                  {Config{Address: "h:1", TLS: TLS{Enabled: true, Cert: cert, Key: Secret(otherKey)}}, "client certificate"},
		"the certificate and the key are in each other's place": {Config{Address: "h:1", TLS: TLS{Enabled: true, Cert: key, Key: Secret(cert)}}, "client certificate"},
		"the address has no port":                               {Config{Address: "h", TLS: TLS{Enabled: true}}, "address"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := New(c.conf, nil)
			if err == nil || !strings.Contains(err.Error(), c.part) {
				t.Fatalf("the error is %v, want ...%s...", err, c.part)
			}
			for _, secret := range []string{password, key, otherKey, strings.Split(key, "\n")[1]} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells a secret: %v", err)
				}
			}
		})
	}
}
