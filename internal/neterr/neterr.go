// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package neterr tells why a connection could not be made or used, by the errors of
// net and crypto/tls. Whoever shows it to a user finds the words: what to do about a
// refused connection is another thing for a Redis than for a loader.
package neterr

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// Kind is why there is no connection.
type Kind int

// The kinds. Those of TLS come from TLS, the others from Network.
const (
	Other Kind = iota

	NoSuchHost   // the name has no address
	LookupFailed // the name server did not answer
	TimedOut     // nothing came in time
	Refused      // nobody listens there
	Closed       // the other side closed the connection

	NotTLS           // the answer was not TLS
	NotTLSButHTTP    // it was HTTP
	UnknownAuthority // of the certificate
	WrongHost        // the certificate is for another name
	Expired          // the certificate has expired, or is not valid yet
	Invalid          // the certificate is not valid otherwise
	NotVerified      // the certificate could not be verified
	HandshakeRefused // by an alert, of either side
	HandshakeFailed  // in a way that has no type
)

// TLS says what went wrong with TLS, and the error that tells it best; nil if it was
// something else.
func TLS(err error) (Kind, error) {
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if string(record.RecordHeader[:]) == "HTTP/" {
			return NotTLSButHTTP, record
		}
		return NotTLS, record
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return Expired, invalid
		}
		return Invalid, invalid
	}
	if authority, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return UnknownAuthority, authority
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		return WrongHost, host
	}
	if verify, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return NotVerified, verify.Err
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && (alert.Op == "remote error" || alert.Op == "local error") {
		return HandshakeRefused, alert
	}
	// The rest of crypto/tls and net/http's own timeout have no types.
	if err != nil {
		if text := err.Error(); strings.Contains(text, "tls: ") || strings.Contains(text, "TLS handshake timeout") {
			return HandshakeFailed, err
		}
	}
	return Other, nil
}

// Network says what went wrong below TLS, and the host that could not be looked up, if
// it was that.
func Network(err error) (kind Kind, host string) {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return NoSuchHost, dns.Name
		}
		return LookupFailed, dns.Name
	}
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
		return TimedOut, ""
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused, ""
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Closed, ""
	}
	return Other, ""
}
