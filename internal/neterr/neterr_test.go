// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package neterr

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestWhyThereIsNoTLS(t *testing.T) {
	alert := &net.OpError{Op: "remote error", Err: errors.New("bad certificate")}
	verify := &tls.CertificateVerificationError{Err: errors.New("of some kind")}
	for name, c := range map[string]struct {
		err  error
		want Kind
	}{
		"no error":                        {nil, Other},
		"an error of the network":         {syscall.ECONNREFUSED, Other},
		"an answer that is HTTP":          {tls.RecordHeaderError{RecordHeader: [5]byte([]byte("HTTP/"))}, NotTLSButHTTP},
		"an answer that is anything":      {tls.RecordHeaderError{}, NotTLS},
		"a certificate that has expired":  {&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}, Expired},
		"a certificate that may not sign": {x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, Invalid},
		"an unknown authority":            {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, UnknownAuthority},
		"another name":                    {x509.HostnameError{Certificate: &x509.Certificate{}}, WrongHost},
		"another fault of a certificate":  {verify, NotVerified},
		"an alert":                        {fmt.Errorf("read: %w", alert), HandshakeRefused},
		"an error without a type":         {errors.New("tls: no cipher suite in common"), HandshakeFailed},
		"net/http's own timeout":          {errors.New("net/http: TLS handshake timeout"), HandshakeFailed},
	} {
		kind, cause := TLS(c.err)
		if kind != c.want || (cause == nil) != (c.want == Other) {
			t.Errorf("%s: kind %d with cause %v, want kind %d", name, kind, cause, c.want)
		}
	}
}

func TestWhyThereIsNoConnection(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want Kind
		host string
	}{
		"no such host":          {&net.DNSError{IsNotFound: true, Name: "shop"}, NoSuchHost, "shop"},
		"a silent name server":  {&net.DNSError{IsTimeout: true, Name: "shop"}, LookupFailed, "shop"},
		"a timeout":             {&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, TimedOut, ""},
		"nobody listens":        {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, Refused, ""},
		"an end without answer": {fmt.Errorf("read: %w", io.EOF), Closed, ""},
		"a reset":               {syscall.ECONNRESET, Closed, ""},
		"anything else":         {errors.New("?"), Other, ""},
	} {
		if kind, host := Network(c.err); kind != c.want || host != c.host {
			t.Errorf("%s: kind %d, host %q, want kind %d, host %q", name, kind, host, c.want, c.host)
		}
	}
}
