// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/keepfresh/keepfresh/internal/egress"
	"github.com/keepfresh/keepfresh/internal/neterr"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/loader/http/direct"
)

// checkAnswer says why an answer is not a value; nil if it is one.
func (l *Source) checkAnswer(r *reply, now time.Time) *loader.Error {
	failure := l.checkStatus(r, now)
	if failure != nil {
		failure.Status = r.status
		return failure
	}
	if r.misframed {
		return l.misframed(r)
	}
	return l.decode(r)
}

func (l *Source) checkStatus(r *reply, now time.Time) *loader.Error {
	switch code := r.status; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusNotFound, code == http.StatusGone:
		return loader.Failf(loader.NotFound, "%s answered %s", l.urls.host, statusText(code))
	case code >= 300 && code < 400:
		return loader.Failf(loader.Redirected, "%s answered %s; redirects are not followed, so let the URL name the place itself", l.urls.host, statusText(code))
	default:
		failure := loader.Failf(loader.UnexpectedStatus, "%s answered %s", l.urls.host, statusText(code))
		if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
			for _, line := range r.header["Retry-After"] {
				failure.RetryAfter = max(failure.RetryAfter, retryAfter(line, now))
			}
		}
		return failure
	}
}

// statusText is the code with the text of the standard, as what the server
// writes there may be anything.
func statusText(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

// retryAfter reads the header of that name: seconds, or a date. What cannot be
// read or has passed is 0.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		wait = time.Duration(min(seconds, uint64(loader.MaxRetryAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		wait = loader.MaxRetryAfter
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(now)
	}
	return min(max(wait, 0), loader.MaxRetryAfter)
}

// ended says that the time for the load has ended; nil if it has not.
func (l *Source) ended(time interface{ Err() error }, doing string) *loader.Error {
	err := time.Err()
	if err == nil {
		return nil
	}
	failure := loader.Failf(loader.Timeout, "no %s from %s in time", doing, l.urls.host)
	if errors.Is(err, context.Canceled) {
		failure = loader.Failf(loader.Canceled, "cancelled while waiting for the %s from %s", doing, l.urls.host)
	}
	failure.Err = err
	return failure
}

// notAnswered puts an error of RoundTrip into a class. None of its text goes
// into the result.
func (l *Source) notAnswered(s direct.Span, err error) *loader.Error {
	if failure := l.ended(s, "answer"); failure != nil {
		return failure
	}
	if denied, ok := errors.AsType[*egress.Denied](err); ok {
		return loader.Failf(loader.EgressDenied, "%s", denied.Error())
	}
	if kind, cause := neterr.TLS(err); cause != nil {
		return loader.Failf(loader.TLSFailed, "%s %s", l.urls.host, tlsFailures[kind])
	}
	failure := loader.Failf(loader.ConnectionFailed, "%s %s", l.urls.host, connectionFailure(err))
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		failure.Err = number
	}
	return failure
}

func connectionFailure(err error) string {
	kind, _ := neterr.Network(err)
	switch kind {
	case neterr.NoSuchHost:
		return "has no address: no such host"
	case neterr.LookupFailed:
		return "has no address: the name server did not answer"
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return "cannot be reached: " + number.Error()
	}
	switch kind {
	case neterr.TimedOut:
		return "does not take the connection"
	case neterr.Closed:
		return "closed the connection without an answer"
	}
	return "gave no usable HTTP answer"
}

// tlsFailures says what each kind of it means for a loader's host.
var tlsFailures = map[neterr.Kind]string{
	neterr.UnknownAuthority: "has a certificate of an unknown authority",
	neterr.WrongHost:        "has a certificate for another name",
	neterr.Expired:          "has a certificate that has expired or is not valid yet",
	neterr.Invalid:          "has a certificate that is not valid",
	neterr.NotVerified:      "has a certificate that cannot be verified",
	neterr.NotTLSButHTTP:    "speaks HTTP without TLS there",
	neterr.NotTLS:           "does not speak TLS there",
	neterr.HandshakeRefused: "refused the TLS handshake",
	neterr.HandshakeFailed:  "did not complete the TLS handshake",
}
