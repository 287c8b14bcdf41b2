// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher"
	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
)

// loads is how a keyspace is loaded.
func loads(k refresher.Keyspace) httploader.Config { return k.Loader.(httploader.Config) }

func TestPlan(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue("client")
	_, otherKey := ca.issue("other")
	auth := func(p *cachev1alpha1.CachePolicy) {
		p.Spec.Redis.Auth = &cachev1alpha1.RedisAuth{SecretRef: cachev1alpha1.SecretReference{Name: "login"}}
	}
	token := func(p *cachev1alpha1.CachePolicy) {
		http := p.Spec.Keyspaces[0].Loader.HTTP
		http.Headers = []cachev1alpha1.HTTPHeader{headerFrom("Authorization", "api", "token")}
	}
	caFrom := func(key string) func(*cachev1alpha1.CachePolicy) {
		return func(p *cachev1alpha1.CachePolicy) {
			p.Spec.Redis.TLS = &cachev1alpha1.RedisTLS{CASecretRef: &cachev1alpha1.CASecretReference{Name: "ca", Key: key}}
		}
	}
	clientCert := func(p *cachev1alpha1.CachePolicy) {
		p.Spec.Redis.TLS = &cachev1alpha1.RedisTLS{CertSecretRef: &cachev1alpha1.SecretReference{Name: "client"}, ServerName: "redis"}
	}
	requested := func(annotation, handled string) func(*cachev1alpha1.CachePolicy) {
		return func(p *cachev1alpha1.CachePolicy) {
			p.Annotations = map[string]string{cachev1alpha1.RefreshRequestedAtAnnotation: annotation}
			p.Status.LastHandledRefreshAt = handled
		}
	}
	first := func(p refresher.Plan) refresher.Keyspace { return p.Keyspaces[0] }

	tests := map[string]struct {
		change  func(*cachev1alpha1.CachePolicy)
		secrets secrets
		reason  string // of the problem; none if empty
		message string // holds this
		check   func(refresher.Plan) bool
	}{
		"a policy without Secrets needs none": {
			check: func(p refresher.Plan) bool {
				return p.Redis.Address == "redis.shop.svc:6379" && !p.Redis.TLS.Enabled && p.Redis.Password == "" && p.Refresh == ""
			},
		},
		"two spellings of a host are one Redis": {
			change: func(p *cachev1alpha1.CachePolicy) { p.Spec.Redis.Addresses = []string{"Redis.Shop.SVC:6379"} },
			check:  func(p refresher.Plan) bool { return p.Redis.Address == "redis.shop.svc:6379" },
		},
		"one line break that ends a password or a user name is dropped": {
			change:  auth,
			secrets: secrets{"login": {Data: map[string][]byte{"username": []byte("someone\r\n"), "password": []byte("hunter2\n\n")}}},
			check:   func(p refresher.Plan) bool { return p.Redis.Username == "someone" && p.Redis.Password == "hunter2\n" },
		},
		"the database is taken over": {
			change: func(p *cachev1alpha1.CachePolicy) { p.Spec.Redis.Database = 5 },
			check:  func(p refresher.Plan) bool { return p.Redis.Database == 5 },
		},
		"a keyspace takes over the policy's defaults": {
			check: func(p refresher.Plan) bool {
				k := first(p)
				return k.Expire == time.Minute && k.DueAfter == 37200*time.Millisecond && k.GuardTimeout == 6*time.Second &&
					loads(k).Timeout == 5*time.Second && loads(k).BatchSize == 0 && k.MaxConcurrent == 6 && k.MaxPerSecond == 0 &&
					k.OnNotFound == refresher.Delete && len(k.Keys) == 0
			},
		},
		"a keyspace's own settings go before the policy's": {
			change: func(p *cachev1alpha1.CachePolicy) {
				k := &p.Spec.Keyspaces[0]
				k.Expire, k.RefreshRatio, k.GuardTimeout = span(10*time.Second), "50%", span(2*time.Second)
				k.OnMiss, p.Spec.Redis.KeyEvents = cachev1alpha1.OnMissRebuild, cachev1alpha1.KeyEventsConfigure
				k.OnNotFound, k.Loader.MaxConcurrent, k.Loader.MaxPerSecond = cachev1alpha1.OnNotFoundKeep, 9, new(int32(70))
				k.MaxNotFoundPercent = 55
				k.Loader.HTTP.Timeout, k.Loader.HTTP.MaxBodyBytes = span(time.Second), 512
				k.Loader.HTTP.Batch = &cachev1alpha1.Batch{Size: 50}
				k.Source = &cachev1alpha1.Source{Keys: []string{"product:1"}}
			},
			check: func(p refresher.Plan) bool {
				k := first(p)
				return k.Expire == 10*time.Second && k.DueAfter == 5*time.Second && k.GuardTimeout == 2*time.Second &&
					k.OnMiss == refresher.Rebuild && p.KeyEvents == refresher.Configure &&
					k.OnNotFound == refresher.Keep && k.MaxNotFound == 55 && k.MaxConcurrent == 9 && k.MaxPerSecond == 70 &&
					loads(k).Timeout == time.Second && loads(k).MaxBodyBytes == 512 && loads(k).BatchSize == 50 && len(k.Keys) == 1
			},
		},
		"a loader without a timeout is given no more than the guardTimeout": {
			change: func(p *cachev1alpha1.CachePolicy) { p.Spec.GuardTimeout = span(3 * time.Second) },
			check:  func(p refresher.Plan) bool { return loads(first(p)).Timeout == 3*time.Second },
		},
		"a policy that passed through no API server has the schema's defaults": {
			change: func(p *cachev1alpha1.CachePolicy) { p.Spec.RefreshRatio, p.Spec.GuardTimeout = "", nil },
			check: func(p refresher.Plan) bool {
				return first(p).DueAfter == 37200*time.Millisecond && first(p).GuardTimeout == cachev1alpha1.DefaultGuardTimeout
			},
		},
		"a refreshRatio that is none is an invalid spec": {
			change: func(p *cachev1alpha1.CachePolicy) { p.Spec.RefreshRatio = "most" },
			reason: cachev1alpha1.ReasonInvalidSpec, message: `keyspace "products": refreshRatio`,
		},
		"the login comes from the Secret": {
			change: auth, secrets: secrets{"login": secretOf(map[string]string{"username": "fresh", "password": "pa55"})},
			check: func(p refresher.Plan) bool { return p.Redis.Username == "fresh" && string(p.Redis.Password) == "pa55" },
		},
		"a login needs no username": {
			change: auth, secrets: secrets{"login": secretOf(map[string]string{"password": "pa55"})},
			check: func(p refresher.Plan) bool { return p.Redis.Username == "" && string(p.Redis.Password) == "pa55" },
		},
		"a login needs a password": {
			change: auth, secrets: secrets{"login": secretOf(map[string]string{"username": "fresh"})},
			reason: cachev1alpha1.ReasonSecretNotFound, message: `Secret "login" has no key "password"`,
		},
		"a Secret that does not exist is named": {
			change: auth, reason: cachev1alpha1.ReasonSecretNotFound, message: `no Secret "login"`,
		},
		"the CA lies under ca.crt unless said otherwise": {
			change: caFrom(""), secrets: secrets{"ca": secretOf(map[string]string{"ca.crt": ca.pem})},
			check: func(p refresher.Plan) bool { return p.Redis.TLS.Enabled && p.Redis.TLS.CA == ca.pem },
		},
		"the CA may lie under another key": {
			change: caFrom("bundle.pem"), secrets: secrets{"ca": secretOf(map[string]string{"bundle.pem": ca.pem})},
			check: func(p refresher.Plan) bool { return p.Redis.TLS.CA == ca.pem },
		},
		"a CA that is no certificate is refused": {
			change: caFrom("ca.crt"), secrets: secrets{"ca": secretOf(map[string]string{"ca.crt": "c0nfidential"})},
			reason: cachev1alpha1.ReasonSecretInvalid, message: `key "ca.crt" of Secret "ca" holds no PEM certificate`,
		},
		"a CA under a key that is missing is named": {
			change: caFrom("bundle.pem"), secrets: secrets{"ca": secretOf(map[string]string{"ca.crt": ca.pem})},
			reason: cachev1alpha1.ReasonSecretNotFound, message: `has no key "bundle.pem"`,
		},
		"TLS without Secrets trusts the system's roots": {
			change: func(p *cachev1alpha1.CachePolicy) { p.Spec.Redis.TLS = &cachev1alpha1.RedisTLS{} },
			check:  func(p refresher.Plan) bool { return p.Redis.TLS.Enabled && p.Redis.TLS.CA == "" },
		},
		"a client certificate comes with its key": {
			change: clientCert, secrets: secrets{"client": secretOf(map[string]string{"tls.crt": cert, "tls.key": key})},
			check: func(p refresher.Plan) bool {
				return p.Redis.TLS.Cert == cert && string(p.Redis.TLS.Key) == key && p.Redis.TLS.ServerName == "redis"
			},
		},
		"a client certificate without its key is refused": {
			change: clientCert, secrets: secrets{"client": secretOf(map[string]string{"tls.crt": cert})},
			reason: cachev1alpha1.ReasonSecretNotFound, message: `has no key "tls.key"`,
		},
		"a client certificate with another's key is refused": {
			change: clientCert, secrets: secrets{"client": secretOf(map[string]string{"tls.crt": cert, "tls.key": otherKey})},
			reason: cachev1alpha1.ReasonSecretInvalid, message: `tls.crt and tls.key of Secret "client" are no pair`,
		},
		"a header's value is taken over": {
			change: func(p *cachev1alpha1.CachePolicy) {
				p.Spec.Keyspaces[0].Loader.HTTP.Headers = []cachev1alpha1.HTTPHeader{{Name: "Accept", Value: new("text/plain")}}
			},
			check: func(p refresher.Plan) bool { return loads(first(p)).Headers[0].Value == "text/plain" },
		},
		"a header's value comes from a Secret": {
			change: token, secrets: secrets{"api": secretOf(map[string]string{"token": "Bearer pa55"})},
			check: func(p refresher.Plan) bool { return loads(first(p)).Headers[0].Value == "Bearer pa55" },
		},
		"a line break at the end of a header's Secret is dropped": {
			change: token, secrets: secrets{"api": secretOf(map[string]string{"token": "Bearer pa55\r\n"})},
			check: func(p refresher.Plan) bool { return loads(first(p)).Headers[0].Value == "Bearer pa55" },
		},
		"a line break within a header's Secret is refused": {
			change: token, secrets: secrets{"api": secretOf(map[string]string{"token": "pa55\nX-Evil: 1"})},
			reason: cachev1alpha1.ReasonSecretInvalid, message: `key "token" of Secret "api" cannot be the value of a header`,
		},
		"a control character in a header's Secret is refused": {
			change: token, secrets: secrets{"api": secretOf(map[string]string{"token": "pa55\x7f"})},
			reason: cachev1alpha1.ReasonSecretInvalid, message: "cannot be the value of a header",
		},
		"a header's Secret without the key is named": {
			change: token, secrets: secrets{"api": secretOf(map[string]string{"other": "pa55"})},
			reason: cachev1alpha1.ReasonSecretNotFound, message: `Secret "api" has no key "token"`,
		},
		"a refresh is asked for by a token": {
			change: requested("now", ""), check: func(p refresher.Plan) bool { return p.Refresh == "now" },
		},
		"a refresh is narrowed down to keyspaces": {
			change: func(p *cachev1alpha1.CachePolicy) {
				requested("now", "")(p)
				p.Annotations[cachev1alpha1.RefreshKeyspacesAnnotation] = "a, b,"
			},
			check: func(p refresher.Plan) bool {
				return p.Refresh == "now" && slices.Equal(p.RefreshOnly, []string{"a", "b"})
			},
		},
		"a token that was handled asks for nothing": {
			change: requested("now", "now"), check: func(p refresher.Plan) bool { return p.Refresh == "" },
		},
		"a token that fits into no status is cut, and is still known when handled": {
			change: requested(strings.Repeat("x", 300), strings.Repeat("x", maxToken)),
			check:  func(p refresher.Plan) bool { return p.Refresh == "" },
		},
		"a token is not cut within a character": {
			change: requested(strings.Repeat("x", maxToken-1)+"ß", ""),
			check:  func(p refresher.Plan) bool { return p.Refresh == strings.Repeat("x", maxToken-1) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := catalog()
			if test.change != nil {
				test.change(p)
			}
			got, err := makePlan(p, test.secrets)
			if test.reason == "" {
				if err != nil || !test.check(got) {
					t.Errorf("plan %+v, error %v", got, err)
				}
				return
			}
			problem := asProblem(err)
			if problem == nil || problem.reason != test.reason || !strings.Contains(problem.message, test.message) {
				t.Fatalf("got the error %v; want %s, %s", err, test.reason, test.message)
			}
			for _, secret := range []string{"pa55", "c0nfidential", "BEGIN"} {
				if strings.Contains(problem.message, secret) {
					t.Errorf("the message holds a secret: %s", problem.message)
				}
			}
		})
	}
}

func TestSecretNamesAreThoseOfAllReferencesOnce(t *testing.T) {
	p := catalog(func(p *cachev1alpha1.CachePolicy) {
		p.Spec.Redis.Auth = &cachev1alpha1.RedisAuth{SecretRef: cachev1alpha1.SecretReference{Name: "redis"}}
		p.Spec.Redis.TLS = &cachev1alpha1.RedisTLS{
			CASecretRef:   &cachev1alpha1.CASecretReference{Name: "ca"},
			CertSecretRef: &cachev1alpha1.SecretReference{Name: "redis"},
		}
		p.Spec.Keyspaces[0].Loader.HTTP.Headers = []cachev1alpha1.HTTPHeader{
			{Name: "Accept", Value: new("*/*")}, headerFrom("Authorization", "api", "token"), headerFrom("X-Key", "api", "key"),
		}
	})
	if got, want := fmt.Sprint(secretNames(p)), "[redis ca api]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAPlanPrintsNoPassword(t *testing.T) {
	p := catalog(func(p *cachev1alpha1.CachePolicy) {
		p.Spec.Redis.Auth = &cachev1alpha1.RedisAuth{SecretRef: cachev1alpha1.SecretReference{Name: "login"}}
		p.Spec.Keyspaces[0].Loader.HTTP.Headers = []cachev1alpha1.HTTPHeader{headerFrom("Authorization", "login", "password")}
	})
	got, err := makePlan(p, secrets{"login": secretOf(map[string]string{"password": "pa55"})})
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, got); strings.Contains(text, "pa55") {
			t.Errorf("%s prints the password: %s", format, text)
		}
	}
}
