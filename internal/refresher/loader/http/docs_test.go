// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

const docs = "../../../../docs/loader.md"

// block returns the first block of docs/loader.md in a language that holds text.
func block(t *testing.T, language, text string) string {
	t.Helper()
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(page, -1) {
		if strings.Contains(string(found[1]), text) {
			return string(found[1])
		}
	}
	t.Fatalf("%s has no block in %s with %q", docs, language, text)
	return ""
}

// The page shows what is sent and what is taken.
func TestDocsShowABatch(t *testing.T) {
	shown := block(t, "http", "POST")
	question := strings.TrimSpace(shown[strings.Index(shown, "\n\n"):])
	keys := []string{"product:1", "product:2", "product:3", "product:4", "product:5"}
	if got := string(appendQuestion(nil, keys)); got != question {
		t.Errorf("%s shows %s, sent is %s", docs, question, got)
	}
	answer := []byte(block(t, "json", "notFound"))
	results := make([]loader.Result, len(keys))
	if why := readAnswer(answer, batch{keys, results}); why != "" {
		t.Fatal(why)
	}
	if got, want := outcomes(results), `"{\"name\":\"chair\"}" "\x00\xff\n" NotFound KeyFailed NotAnswered`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for name, document := range map[string][]byte{"request": []byte(question), "response": answer} {
		if err := fits(t, schema(t, name), document); err != nil {
			t.Error(err)
		}
	}
}

// TestExampleServers runs the servers that the page shows.
func TestExampleServers(t *testing.T) {
	for language, command := range map[string][]string{"go": {"go"}, "python": {"python3"}} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("needs %s", command[0])
			}
			address := freeAddress(t)
			source := strings.NewReplacer(`"127.0.0.1:8080"`, `"`+address+`"`, "8080", address[strings.LastIndex(address, ":")+1:]).
				Replace(block(t, language, "8080"))
			file := filepath.Join(t.TempDir(), "main."+map[string]string{"go": "go", "python": "py"}[language])
			if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
			if language == "go" {
				built := strings.TrimSuffix(file, ".go")
				if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", built, file).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				command, file = nil, built
			}
			command = append(command, file)
			server := exec.CommandContext(t.Context(), command[0], command[1:]...)
			var log bytes.Buffer
			server.Stdout, server.Stderr = &log, &log
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { // t.Context has ended
				_ = server.Wait()
				if t.Failed() {
					t.Logf("it says:\n%s", log.String())
				}
			})
			await(t, address)
			useExample(t, "http://"+address)
		})
	}
}

func useExample(t *testing.T, base string) {
	one := makeLoader(t, "product:{id}", Config{URL: base + "/products/{id}"})
	many := makeLoader(t, "product:{id}", Config{URL: base + "/products:batch", BatchSize: 100})
	keys := []string{"product:1", "product:2", "product:3"}
	const want = `"{\"name\":\"chair\"}" "{\"name\":\"table\"}" NotFound`
	for range 2 { // on the connection that was kept, too
		for _, l := range []*tested{one, many} {
			if got := outcomes(l.LoadMany(t.Context(), keys, nil)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// await returns when somebody listens.
func await(t *testing.T, address string) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return
		}
	}
	t.Fatalf("nobody listens on %s", address)
}
