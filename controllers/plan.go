// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// problem keeps a spec from coming into force until somebody changes it, or
// something that it refers to. Trying again by itself would not help.
type problem struct{ reason, message string }

// Error is the message that the conditions carry.
func (p *problem) Error() string { return p.message }

func problemf(reason, format string, args ...any) *problem {
	return &problem{reason, fmt.Sprintf(format, args...)}
}

// asProblem is the problem in err, or nil.
func asProblem(err error) *problem {
	var p *problem
	errors.As(err, &p)
	return p
}

// makePlan translates a policy and its Secrets into what the engine takes. An error
// is a *problem.
func makePlan(p *cachev1alpha1.CachePolicy, s secrets) (refresher.Plan, error) {
	out := refresher.Plan{KeyEvents: refresher.KeyEvents(p.Spec.Redis.KeyEvents)}
	var err error
	if out.Redis, err = redisConfig(p.Spec.Redis, s); err != nil {
		return out, err
	}
	for i := range p.Spec.Keyspaces {
		k, err := keyspacePlan(&p.Spec, &p.Spec.Keyspaces[i], s)
		if err != nil {
			return out, err
		}
		out.Keyspaces = append(out.Keyspaces, k)
	}
	if token := refreshToken(p); token != p.Status.LastHandledRefreshAt {
		out.Refresh, out.RefreshOnly = token, p.RefreshKeyspaces()
	}
	return out, nil
}

func redisConfig(r cachev1alpha1.Redis, s secrets) (redisconn.Config, error) {
	conf := redisconn.Config{Address: strings.ToLower(r.Addresses[0]), Database: int(r.Database)}
	if r.Auth != nil {
		name := r.Auth.SecretRef.Name
		password, err := s.value(name, "password")
		if err != nil {
			return conf, err
		}
		conf.Password = redisconn.Secret(withoutLineBreak(password))
		conf.Username = withoutLineBreak(string(s[name].Data["username"]))
	}
	if r.TLS == nil {
		return conf, nil
	}
	conf.TLS = redisconn.TLS{Enabled: true, ServerName: r.TLS.ServerName}
	if ref := r.TLS.CASecretRef; ref != nil {
		key := ref.Key
		if key == "" {
			key = cachev1alpha1.DefaultCASecretKey
		}
		ca, err := s.value(ref.Name, key)
		if err != nil {
			return conf, err
		}
		if !x509.NewCertPool().AppendCertsFromPEM([]byte(ca)) {
			return conf, problemf(cachev1alpha1.ReasonSecretInvalid, "key %q of Secret %q holds no PEM certificate", key, ref.Name)
		}
		conf.TLS.CA = ca
	}
	if ref := r.TLS.CertSecretRef; ref != nil {
		cert, err := s.value(ref.Name, "tls.crt")
		if err != nil {
			return conf, err
		}
		key, err := s.value(ref.Name, "tls.key")
		if err != nil {
			return conf, err
		}
		if _, err := tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
			return conf, problemf(cachev1alpha1.ReasonSecretInvalid, "tls.crt and tls.key of Secret %q are no pair of certificate and key", ref.Name)
		}
		conf.TLS.Cert, conf.TLS.Key = cert, redisconn.Secret(key)
	}
	return conf, nil
}

func keyspacePlan(spec *cachev1alpha1.CachePolicySpec, k *cachev1alpha1.Keyspace, s secrets) (refresher.Keyspace, error) {
	due, err := k.EffectiveDueAfter(spec)
	if err != nil {
		return refresher.Keyspace{}, problemf(cachev1alpha1.ReasonInvalidSpec, "keyspace %q: refreshRatio: %v", k.Name, err)
	}
	expire := k.EffectiveExpire(spec)
	out := refresher.Keyspace{
		Name:          k.Name,
		Key:           k.Key,
		Expire:        expire,
		DueAfter:      due,
		GuardTimeout:  k.EffectiveGuardTimeout(spec),
		MaxConcurrent: int(k.Loader.MaxConcurrent),
		OnNotFound:    refresher.OnNotFound(k.OnNotFound),
		MaxNotFound:   int(k.MaxNotFoundPercent),
		OnMiss:        refresher.OnMiss(k.OnMiss),
	}
	if k.Source != nil {
		out.Keys = k.Source.Keys
	}
	if k.Loader.MaxPerSecond != nil {
		out.MaxPerSecond = int(*k.Loader.MaxPerSecond)
	}
	loads := httpLoader(spec, k)
	for _, h := range k.Loader.HTTP.Headers {
		value, err := header(h, s)
		if err != nil {
			return out, err
		}
		loads.Headers = append(loads.Headers, httploader.Header{Name: h.Name, Value: value})
	}
	out.Loader = loads
	return out, nil
}

// httpLoader is a keyspace's loader without its headers, which may be secret.
func httpLoader(spec *cachev1alpha1.CachePolicySpec, k *cachev1alpha1.Keyspace) httploader.Config {
	return httploader.Config{
		URL:          k.Loader.HTTP.URL,
		Timeout:      k.EffectiveTimeout(spec),
		BatchSize:    k.Loader.HTTP.EffectiveBatchSize(),
		MaxBodyBytes: k.Loader.HTTP.MaxBodyBytes,
	}
}

// withoutLineBreak is a credential without the line break in which a Secret often ends
// that was made from a file, and which nobody wants. A second one would be meant.
func withoutLineBreak(value string) string {
	return strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
}

// header is a header's value. No header can hold the line breaks in which a Secret ends.
func header(h cachev1alpha1.HTTPHeader, s secrets) (string, error) {
	if h.Value != nil {
		return *h.Value, nil
	}
	ref := h.ValueFrom.SecretKeyRef
	value, err := s.value(ref.Name, ref.Key)
	if err != nil {
		return "", err
	}
	value = strings.TrimRight(value, "\r\n")
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", problemf(cachev1alpha1.ReasonSecretInvalid, "key %q of Secret %q cannot be the value of a header: it holds a line break or a control character", ref.Key, ref.Name)
	}
	return value, nil
}

// maxToken is how much of a refresh token fits into the status.
const maxToken = 253

// refreshToken is the token of the refresh that was asked for last, or "".
func refreshToken(p *cachev1alpha1.CachePolicy) string {
	token := p.Annotations[cachev1alpha1.RefreshRequestedAtAnnotation]
	return strings.ToValidUTF8(token[:min(len(token), maxToken)], "")
}
