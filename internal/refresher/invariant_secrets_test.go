// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keepfresh/keepfresh/internal/redistest"
	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

const (
	redisSecret  = "hunter2redis"
	headerSecret = "hunter2header"
)

// Invariant 8: no secret in status, events, logs, metrics or errors.
//
// Both ends of the engine tell back what they were told: a loader sends the
// headers that it received in every place of an answer, and a Redis sends the
// password in every kind of reply. Everything that leaves the engine is
// searched: snapshots, logs, the Redis client's own too, metrics, and errors.
func TestInvariant8NoSecretGetsOut(t *testing.T) {
	for what, c := range map[string]struct {
		redis  func(t *testing.T) (address string)
		loader http.HandlerFunc
		seen   func(s Snapshot, log string) bool // that it came to the secret being told back
	}{
		"a loader that puts it into the status line and the body": {realRedis, tellBack(http.StatusInternalServerError), loaderFailed},
		"a loader that redirects to it":                           {realRedis, tellBack(http.StatusFound), loaderFailed},
		"a loader that does not find it":                          {realRedis, tellBack(http.StatusNotFound), loaderFailed},
		"a loader that speaks no HTTP":                            {realRedis, nil, loaderFailed},
		"a Redis that wants another password":                     {func(t *testing.T) string { return redistest.Start(t, "--requirepass", "other").Addr }, nil, redisFailed},
		"a Redis that puts it into an error":                      {fakeRedis("-ERR I was told %s\r\n", "*"), nil, redisFailed},
		"a Redis that refuses it by name":                         {fakeRedis("-WRONGPASS %s is wrong\r\n", "*"), nil, redisFailed},
		"a Redis that has it for an error's code":                 {fakeRedis("-%s\r\n", "*"), nil, redisFailed},
		"a Redis that speaks no RESP":                             {fakeRedis("%s\r\n", "*"), nil, redisFailed},
		"a Redis that answers with it where a number belongs":     {fakeRedis(":%s\r\n", "*"), nil, redisFailed},
		"a Redis that refuses guards with it":                     {fakeRedis("-ERR I was told %s\r\n", "SET"), nil, commandFailed},
		"a Redis that denies guards with it":                      {fakeRedis("-NOPERM I was told %s\r\n", "SET"), nil, commandFailed},
		"a Redis that refuses listings with it":                   {fakeRedis("-ERR I was told %s\r\n", "PTTL"), nil, listingFailed},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var out textLog
			b := newBackend(t, 0)
			if b.answer(c.loader); c.loader == nil {
				b.answer(func(w http.ResponseWriter, r *http.Request) {
					if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
						_, _ = fmt.Fprint(conn, r.Header.Get("Authorization"), "\r\n")
						_ = conn.Close()
					}
				})
			}
			reg := prometheus.NewRegistry()
			e := New(Options{Registerer: reg, Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			defer e.Close(canceled())
			plan := Plan{
				Redis: redisconn.Config{Address: c.redis(t), Password: redisSecret},
				Keyspaces: []Keyspace{{
					Name: "products", Key: "product:{id}", Keys: names("product:", 3),
					Expire: 2 * time.Second, DueAfter: time.Second, GuardTimeout: time.Second,
					Loader: &httploader.Config{URL: b.URL + "/{id}", Headers: []httploader.Header{{Name: "Authorization", Value: headerSecret}}},
				}},
			}
			if err := e.Apply(catalog, plan); err != nil {
				t.Fatal(err)
			}
			seen := false
			for range 1000 {
				snap, _ := e.Snapshot(catalog)
				secretFree(t, "the snapshot", show(t, snap))
				if seen = c.seen(snap, out.String()); seen || t.Failed() {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			if !seen && !t.Failed() {
				t.Error("it was never told back: this test does not try")
			}
			time.Sleep(500 * time.Millisecond)
			snap, _ := e.Snapshot(catalog)
			e.Close(canceled())
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			secretFree(t, "the last snapshot", show(t, snap))
			secretFree(t, "the metrics", fmt.Sprint(families))
			secretFree(t, "the log", out.String())
			secretFree(t, "the Redis client's log", clientLog.String())
			secretFree(t, "the plan, printed", show(t, plan))
		})
	}
}

func realRedis(t *testing.T) string { return redistest.Start(t, "--requirepass", redisSecret).Addr }

func loaderFailed(s Snapshot, _ string) bool { return s.Keyspaces[0].LastFailure != nil }

func redisFailed(s Snapshot, _ string) bool {
	return s.Redis.Reason != redisconn.NotConnected && s.Redis.Reason != redisconn.Connected
}

func commandFailed(s Snapshot, _ string) bool { return redisFailed(s, "") || loaderFailed(s, "") }

func listingFailed(_ Snapshot, log string) bool { return strings.Contains(log, "listing failed") }

// tellBack answers with the header in as many places as HTTP has.
func tellBack(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		secret := r.Header.Get("Authorization")
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nLocation: http://%s/%s\r\nX-%s: %s\r\nConnection: close\r\n\r\n%s", code, secret, secret, secret, secret, secret, secret)
		_ = conn.Close()
	}
}

// fakeRedis is a Redis without keys that answers a command, or any one, with
// the password in an answer of that format.
func fakeRedis(format, command string) func(*testing.T) string {
	info := "run_id:x\r\nredis_version:7\r\nrole:master\r\n"
	answers := map[string]string{
		"HELLO": "-ERR unknown command\r\n", "INFO": fmt.Sprintf("$%d\r\n%s\r\n", len(info), info),
		"PTTL": ":-2\r\n", "PEXPIRETIME": ":-2\r\n", "TYPE": "+none\r\n",
		"TIME": "*2\r\n:1\r\n:1\r\n",
	}
	serve := func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		for in := bufio.NewReader(conn); ; {
			var n, length int
			if _, err := fmt.Fscanf(in, "*%d\r\n", &n); err != nil {
				return
			}
			args := make([]string, n)
			for i := range args {
				if _, err := fmt.Fscanf(in, "$%d\r\n", &length); err != nil {
					return
				}
				arg := make([]byte, length+2)
				if _, err := io.ReadFull(in, arg); err != nil {
					return
				}
				args[i] = string(arg[:length])
			}
			name := strings.ToUpper(args[0])
			answer, known := answers[name]
			if !known {
				answer = "+OK\r\n"
			}
			if command == "*" || name == command {
				answer = fmt.Sprintf(format, redisSecret)
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	}
	return func(t *testing.T) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go serve(conn)
			}
		}()
		return l.Addr().String()
	}
}

func TestInvariant8NoSecretInAnErrorOfApply(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pemKey := redisconn.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	k := Keyspace{
		Name: "products", Key: "product:{id}", Expire: 2 * time.Second, DueAfter: time.Second, GuardTimeout: time.Second,
		Loader: &httploader.Config{URL: "http://localhost/{id}"},
	}
	header := func(name, value string) Keyspace {
		k := k
		web(&k).Headers = []httploader.Header{{Name: name, Value: value}}
		return k
	}
	for what, plan := range map[string]Plan{
		"a key without its certificate":     {Redis: redisconn.Config{Address: "localhost:1", TLS: redisconn.TLS{Enabled: true, Key: pemKey}}, Keyspaces: []Keyspace{k}},
		"a key that is none":                {Redis: redisconn.Config{Address: "localhost:1", TLS: redisconn.TLS{Enabled: true, Key: redisSecret}}, Keyspaces: []Keyspace{k}},
		"a key in place of the certificate": {Redis: redisconn.Config{Address: "localhost:1", TLS: redisconn.TLS{Enabled: true, Cert: string(pemKey), Key: pemKey}}, Keyspaces: []Keyspace{k}},
		"a key in place of the authority":   {Redis: redisconn.Config{Address: "localhost:1", TLS: redisconn.TLS{Enabled: true, CA: string(pemKey[:90])}}, Keyspaces: []Keyspace{k}},
		"a header value with a line break":  {Redis: redisconn.Config{Address: "localhost:1"}, Keyspaces: []Keyspace{header("Authorization", headerSecret+"\n")}},
		"a secret for a Host header":        {Redis: redisconn.Config{Address: "localhost:1"}, Keyspaces: []Keyspace{header("Host", headerSecret+" /")}},
	} {
		t.Run(what, func(t *testing.T) {
			e := New(Options{})
			defer e.Close(canceled())
			err := e.Apply(catalog, plan)
			if err == nil {
				t.Fatal("it was applied")
			}
			secretFree(t, "the error", fmt.Sprintf("%v %+v %#v", err, err, err))
			for _, line := range strings.Split(string(pemKey), "\n")[1:3] {
				if strings.Contains(err.Error(), line) {
					t.Errorf("the error holds the TLS key: %v", err)
				}
			}
			if _, ok := e.Snapshot(catalog); ok {
				t.Error("a plan that was refused has come into effect")
			}
		})
	}
}

// show prints a value in every way that people use.
func show(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%s %v %+v %#v", text, v, v, v)
	if s, ok := v.(Snapshot); ok {
		for _, k := range s.Keyspaces {
			all += fmt.Sprintf("%+v %#v", k.LastFailure, k.LastFailure)
		}
	}
	return all
}

func secretFree(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range []string{redisSecret, headerSecret} {
		if at := strings.Index(strings.ToLower(text), secret); at >= 0 {
			t.Errorf("%s holds %q: ...%s...", where, secret, text[max(0, at-150):min(len(text), at+60)])
		}
	}
}
