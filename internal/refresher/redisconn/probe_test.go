// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package redisconn

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

func TestMain(m *testing.M) {
	redis.SetLogger(&logging.VoidLogger{}) // connections fail here on purpose
	goleak.VerifyTestMain(m)
}

const password = "hunter2"

func connect(t testing.TB, c Config) *redis.Client {
	t.Helper()
	rdb, err := New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb.Client
}

// wantProbe checks what a probe says; part is in its message.
func wantProbe(t testing.TB, c Config, want Reason, part string) {
	t.Helper()
	rdb := connect(t, c)
	var first Status
	for range 2 {
		runID, s := Probe(t.Context(), rdb)
		if s.Reason != want || !strings.Contains(s.Message, part) {
			t.Errorf("it says %s: %s; want %s: ...%s...", s.Reason, s.Message, want, part)
		}
		if (runID != "") != (want == Connected) {
			t.Errorf("the run id is %q", runID)
		}
		if strings.Contains(s.Message, password) {
			t.Errorf("it tells the password: %s", s.Message)
		}
		if first.Reason != "" && s != first {
			t.Errorf("the next try says otherwise: %s; and the first: %s", s.Message, first.Message)
		}
		first = s
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		server string // directives; words apart by spaces, '' is the empty word
		conf   Config
		want   Reason
		part   string
	}{
		"a plain Redis":                        {"", Config{}, Connected, "Redis 7"},
		"another database":                     {"", Config{Database: 15}, Connected, ""},
		"a database that it does not have":     {"", Config{Database: 99}, ConnectionFailed, "redis.database"},
		"the right password":                   {"--requirepass hunter2", Config{Password: password}, Connected, ""},
		"a wrong password":                     {"--requirepass other", Config{Password: password}, AuthenticationFailed, "check the Secret"},
		"no password":                          {"--requirepass other", Config{}, AuthenticationFailed, "redis.auth.secretRef"},
		"a password that is not needed":        {"", Config{Password: password}, Connected, ""},
		"the right user":                       {"--user u on >hunter2 ~* +@all", Config{Username: "u", Password: password}, Connected, ""},
		"a user that does not exist":           {"", Config{Username: "u", Password: password}, AuthenticationFailed, "user name or password"},
		"a user that is off":                   {"--user u off >hunter2 ~* +@all", Config{Username: "u", Password: password}, AuthenticationFailed, "user name or password"},
		"a user without the right to INFO":     {"--user u on >hunter2 ~* +@all -info", Config{Username: "u", Password: password}, PermissionDenied, `"info"`},
		"a user without the right to a read":   {"--user u on >hunter2 ~* +@all -pexpiretime", Config{Username: "u", Password: password}, PermissionDenied, `"pexpiretime"`},
		"a user without the right to our keys": {"--user u on >hunter2 ~product:* +@all", Config{Username: "u", Password: password}, PermissionDenied, "give it ~keepfresh:*"},
		"a user without the right to scripts":  {"--user u on >hunter2 ~* +@all -eval", Config{Username: "u", Password: password}, PermissionDenied, "give it +eval;"},
		"a user without EVALSHA":               {"--user u on >hunter2 ~* +@all -evalsha", Config{Username: "u", Password: password}, PermissionDenied, "give it +evalsha;"},
		"a Redis whose EVALSHA is renamed":     {"--rename-command EVALSHA secret-evalsha", Config{}, VersionUnsupported, `no command "evalsha"`},
		"a Redis without INFO":                 {"--rename-command INFO ''", Config{}, VersionUnsupported, `no command "info"`},
		"a Redis whose EVAL is renamed":        {"--rename-command EVAL secret-eval", Config{}, VersionUnsupported, `no command "eval"`},
		"an old Redis":                         {"--rename-command PEXPIRETIME ''", Config{}, VersionUnsupported, "PEXPIRETIME"},
		"a Redis without AUTH":                 {"--rename-command AUTH '' --rename-command HELLO ''", Config{Password: password}, VersionUnsupported, ""},
		"a replica whose primary is away":      {"--replicaof 127.0.0.1 1", Config{}, ReadOnly, "name the primary"},
		"one that serves no stale data":        {"--replicaof 127.0.0.1 1 --replica-serve-stale-data no", Config{}, ReadOnly, "name the primary"},
		"a cluster without slots":              {"--cluster-enabled yes", Config{}, ConnectionFailed, "cluster"},
		"a database of a cluster":              {"--cluster-enabled yes", Config{Database: 1}, ConnectionFailed, "redis.database"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(c.server)
			for i, a := range args {
				args[i] = strings.ReplaceAll(a, "''", "")
			}
			c.conf.Address = redistest.Start(t, args...).Addr
			wantProbe(t, c.conf, c.want, c.part)
		})
	}
}

func TestProbeReplica(t *testing.T) {
	t.Parallel()
	host, port, _ := net.SplitHostPort(redistest.Start(t).Addr)
	replica := redistest.Start(t, "--replicaof", host+" "+port)
	wantProbe(t, Config{Address: replica.Addr}, ReadOnly, "name the primary")
}

func TestProbeWhereNoRedisIs(t *testing.T) {
	t.Parallel()
	free, err := redistest.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	answers := func(answer string) string {
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
				_, _ = conn.Read(make([]byte, 1024))
				_, _ = conn.Write([]byte(answer))
				_ = conn.Close()
			}
		}()
		return l.Addr().String()
	}
	for sentence, c := range map[string]struct{ addr, part string }{
		"nothing listens":           {free, "it was refused"},
		"no such host":              {"keepfresh.invalid:6379", "host"},
		"no port":                   {"127.0.0.1", "missing port"},
		"it hangs up":               {answers(""), "closed by the other side"},
		"it tells the password":     {answers("-ERR I was told hunter2\r\n"), ""},
		"in a way of its own":       {answers("hunter2\r\n"), ""},
		"an HTTP server":            {answers("HTTP/1.1 400 Bad Request\r\n\r\n"), "not Redis"},
		"a Redis in protected mode": {answers("-DENIED Redis is running in protected mode\r\n"), "protected mode"},
	} {
		t.Run(sentence, func(t *testing.T) {
			wantProbe(t, Config{Address: c.addr, Password: password}, ConnectionFailed, c.part)
		})
	}
}

func TestProbeOfAFrozenRedisEnds(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := connect(t, Config{Address: s.Addr})
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	for _, within := range []time.Duration{200 * time.Millisecond, time.Minute} { // the context's bound, and the client's
		ctx, cancel := context.WithTimeout(t.Context(), within)
		began := time.Now()
		_, status := Probe(ctx, rdb)
		cancel()
		if status.Reason != ConnectionFailed || !strings.Contains(status.Message, "no answer in time") {
			t.Errorf("it says %s: %s", status.Reason, status.Message)
		}
		if took := time.Since(began); took > min(within, dialTimeout+2*ioTimeout)+2*time.Second {
			t.Errorf("it took %s", took)
		}
	}
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	if _, status := Probe(t.Context(), rdb); status.Reason != Connected {
		t.Errorf("thawed, it says %s: %s", status.Reason, status.Message)
	}
}

func TestTheRunIDChangesWithARestart(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := connect(t, Config{Address: s.Addr})
	first, _ := Probe(t.Context(), rdb)
	again, _ := Probe(t.Context(), rdb)
	if first == "" || again != first {
		t.Errorf("the run id went from %q to %q", first, again)
	}
	s.Stop()
	if _, status := Probe(t.Context(), rdb); status.Reason != ConnectionFailed {
		t.Errorf("stopped, it says %s: %s", status.Reason, status.Message)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	// The first try may get a connection to the old process.
	for range 20 {
		if again, _ = Probe(t.Context(), rdb); again != "" {
			break
		}
	}
	if again == "" || again == first {
		t.Errorf("restarted, the run id is %q, and was %q", again, first)
	}
}

func TestARedisThatLoads(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--enable-debug-command", "yes", "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
	rdb, other := connect(t, Config{Address: s.Addr}), connect(t, Config{Address: s.Addr})
	if err := other.Do(t.Context(), "DEBUG", "POPULATE", 2000, "k", 100).Err(); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = other.Do(ctx, "DEBUG", "RELOAD").Err()
	}()
	seen := map[Reason]bool{}
	for done := false; !done && !seen[Loading]; {
		select {
		case <-loaded:
			done = true
		default:
		}
		_, status := Probe(t.Context(), rdb)
		seen[status.Reason] = true
	}
	if !seen[Loading] {
		t.Errorf("while it loaded it said %v", seen)
	}
	<-loaded
}
