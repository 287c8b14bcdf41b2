// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// newBatchLoader returns a loader that asks base for keys p:{+id} in batches.
func newBatchLoader(t testing.TB, base string, size int, cfg Config, opts ...option) *tested {
	t.Helper()
	cfg.URL, cfg.BatchSize = base+"/batch", size
	return makeLoader(t, "p:{+id}", cfg, opts...)
}

// schema returns the part of docs/loader-batch.schema.json with a name.
func schema(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertContent()
	s, err := c.Compile("../../../../docs/loader-batch.schema.json#/$defs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fits says what a schema has against a document.
func fits(t testing.TB, s *jsonschema.Schema, document []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// backend answers batches, and keeps what it was asked for.
type backend struct {
	t     testing.TB
	reply func(w http.ResponseWriter, keys []string)

	mu    sync.Mutex
	asked [][]string
}

func newBackend(t testing.TB, reply func(w http.ResponseWriter, keys []string)) (*backend, string) {
	b := &backend{t: t, reply: reply}
	return b, serve(t, b.ServeHTTP).URL
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var question struct{ Keys []string }
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
		b.t.Error(err)
	}
	b.mu.Lock()
	b.asked = append(b.asked, question.Keys)
	b.mu.Unlock()
	b.reply(w, question.Keys)
}

func (b *backend) calls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.asked)
}

// values answers with "value of" each key.
func values(w http.ResponseWriter, keys []string) {
	found := map[string]string{}
	for _, key := range keys {
		found[key] = "value of " + key
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"values": found})
}

func someKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("p:%04d", i)
	}
	return keys
}

// good counts the results that are the right values, and fails the test for one
// that is another's.
func good(t testing.TB, keys []string, results []loader.Result) (n int) {
	t.Helper()
	for i, r := range results {
		switch {
		case r.Err != nil:
		case string(r.Value) == "value of "+keys[i]:
			n++
		default:
			t.Errorf("%s got %q", keys[i], r.Value)
		}
	}
	return n
}

func TestBatchRequest(t *testing.T) {
	keys := []string{"p:1", `p:"\`, "p:\n\x00", "p:é\u2028😀", "p:<&>", "p:a/b?c#d:e"}
	var method, uri string
	var header http.Header
	var body []byte
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		method, uri, header = r.Method, r.RequestURI, r.Header
		body, _ = io.ReadAll(r.Body)
		if int64(len(body)) != r.ContentLength {
			t.Errorf("a body of %d bytes, announced as %d", len(body), r.ContentLength)
		}
		var question struct{ Keys []string }
		_ = json.Unmarshal(body, &question)
		values(w, question.Keys)
	})
	l := newBatchLoader(t, s.URL, 10, Config{Headers: []Header{{"Authorization", "Bearer x"}}})
	if n := good(t, keys, l.LoadMany(t.Context(), keys, nil)); n != len(keys) {
		t.Errorf("%d values, want %d", n, len(keys))
	}
	if err := fits(t, schema(t, "request"), body); err != nil {
		t.Errorf("%s: %v", body, err)
	}
	if method != "POST" || uri != "/batch" {
		t.Errorf("got %s %s", method, uri)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json", "Authorization": "Bearer x",
		"User-Agent": "keepfresh", "Accept-Encoding": "gzip", "Idempotency-Key": "",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("header %s: got %q, want %q", name, got, want)
		}
	}
}

func TestBatchHeadersMayBeOthers(t *testing.T) {
	var got string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = strings.Join(r.Header["Content-Type"], "|") + ", " + strings.Join(r.Header["Accept"], "|")
		_, _ = io.WriteString(w, `{}`)
	})
	l := newBatchLoader(t, s.URL, 10, Config{Headers: []Header{{"content-type", "application/vnd.x+json"}, {"accept", "*/*"}}})
	_ = l.LoadMany(t.Context(), []string{"p:1"}, nil)
	if want := "application/vnd.x+json, */*"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBatchURL(t *testing.T) {
	for sentence, c := range map[string]struct{ url, says string }{
		"a placeholder":       {"http://h/products/{id}", "take {id} out"},
		"the whole key":       {"http://h/products?k={+key}", "take {+key} out"},
		"no scheme":           {"h/products:batch", "http://"},
		"no placeholder":      {"http://h/products:batch", ""},
		"no path":             {"http://h", ""},
		"a query":             {"https://h/products?batch=1", ""},
		"an encoded brace":    {"http://h/%7Bid%7D", ""},
		"a broken percentage": {"http://h/%zz", "URI template"},
	} {
		t.Run(sentence, func(t *testing.T) {
			l, err := Config{URL: c.url, BatchSize: 10}.Open(parsed("p:{id}"), loader.Environment{})
			switch {
			case c.says != "":
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want it to say %q", err, c.says)
				}
			case err != nil:
				t.Error(err)
			case l.BatchSize() != 10:
				t.Errorf("batches of %d", l.BatchSize())
			}
		})
	}
}

func TestBatchesOfNothingAndOfMuch(t *testing.T) {
	for sentence, c := range map[string]struct {
		keys  []string
		sizes []int
	}{
		"no keys, no call":     {nil, nil},
		"one key":              {someKeys(1), []int{1}},
		"as many as fit":       {someKeys(100), []int{100}},
		"one more than fit":    {someKeys(101), []int{100, 1}},
		"long keys go apart":   {[]string{"p:" + strings.Repeat("a", 60000), "p:1", "p:2"}, []int{3}},
		"many long keys":       {longKeys(20, 60000), []int{8, 8, 4}},
		"keys as long as fits": {longKeys(2, maxKeyBytes), []int{2}},
	} {
		t.Run(sentence, func(t *testing.T) {
			b, base := newBackend(t, values)
			l := newBatchLoader(t, base, 100, Config{MaxBodyBytes: 4 << 20})
			if n := good(t, c.keys, l.LoadMany(t.Context(), c.keys, nil)); n != len(c.keys) {
				t.Errorf("%d values, want %d", n, len(c.keys))
			}
			var sizes []int
			for _, keys := range b.asked {
				sizes = append(sizes, len(keys))
			}
			if !slices.Equal(sizes, c.sizes) {
				t.Errorf("calls for %v keys, want %v", sizes, c.sizes)
			}
		})
	}
}

func longKeys(n, size int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("p:%02d", i) + strings.Repeat("x", size-4)
	}
	return keys
}

func TestBatchLeavesOutKeysThatCannotBeSent(t *testing.T) {
	b, base := newBackend(t, values)
	l := newBatchLoader(t, base, 100, Config{})
	keys := []string{"p:\xff", "p:1", "other:1", "p:2", "p:" + strings.Repeat("x", maxKeyBytes)}
	results := l.LoadMany(t.Context(), keys, nil)
	for i, want := range []bool{false, true, false, true, false} {
		if want != (results[i].Err == nil) {
			t.Errorf("%.10q: %v", keys[i], results[i].Err)
		}
		if !want {
			wantReason(t, results[i].Err, loader.InvalidKey)
		}
	}
	if good(t, keys, results) != 2 || b.calls() != 1 || !slices.Equal(b.asked[0], []string{"p:1", "p:2"}) {
		t.Errorf("asked for %q", b.asked)
	}
}

func TestOneKeyOfABatchLoader(t *testing.T) {
	_, base := newBackend(t, values)
	l := newBatchLoader(t, base, 100, Config{})
	if got, err := l.Load(t.Context(), "p:1"); err != nil || string(got) != "value of p:1" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestManyKeysWithoutBatches(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/2" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, "value of p:"+r.URL.Path[1:])
	})
	l := newLoader(t, s.URL, Config{})
	if n := l.BatchSize(); n != 1 {
		t.Errorf("batches of %d", n)
	}
	keys, asked := []string{"p:1", "p:2", "p:3", "p:4"}, 0
	results := l.LoadMany(t.Context(), keys, func(context.Context) error {
		if asked++; asked == 3 {
			return errors.New("enough")
		}
		return nil
	})
	if good(t, keys, results) != 2 || asked != 3 {
		t.Errorf("got %v, asked %d times", results, asked)
	}
	wantReason(t, results[1].Err, loader.NotFound)
	wantReason(t, results[3].Err, loader.Canceled)
}

// A call that was stopped says so, and the failures seen by then stay.
func TestBatchIsStopped(t *testing.T) {
	keys := someKeys(8)
	b, base := newBackend(t, func(w http.ResponseWriter, keys []string) {
		if slices.Contains(keys, "p:0007") {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		values(w, keys)
	})
	l := newBatchLoader(t, base, 8, Config{})
	results := l.LoadMany(t.Context(), keys, func(context.Context) error {
		if b.calls() == 5 { // all, and each quarter
			return errors.New("no more")
		}
		return nil
	})
	if good(t, keys, results) != 6 || b.calls() != 5 {
		t.Errorf("%d calls, %v", b.calls(), results)
	}
	for _, r := range results[6:] {
		if wantReason(t, r.Err, loader.UnexpectedStatus); r.Err != results[7].Err {
			t.Error("keys that failed together do not share their error")
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, r := range l.LoadMany(ctx, keys, nil) {
		wantReason(t, r.Err, loader.Canceled)
	}
	for _, r := range newBatchLoader(t, base, 2, Config{}).LoadMany(t.Context(), keys, func(context.Context) error { return errors.New("no") })[2:] {
		wantReason(t, r.Err, loader.Canceled)
	}
}

func TestBatchTakesCompressedAnswers(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(zip([]byte(`{"values":{"p:1":"value of p:1"}}`)))
	})
	results := newBatchLoader(t, s.URL, 10, Config{}).LoadMany(t.Context(), []string{"p:1"}, nil)
	if good(t, []string{"p:1"}, results) != 1 {
		t.Errorf("got %v", results[0].Err)
	}
}

// A POST is sent again, like a GET, when the connection turns out to have ended.
func TestBatchOnAConnectionThatEnded(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		values(w, []string{"p:1"})
	})
	l := newBatchLoader(t, s.URL, 10, Config{}, withConns(1))
	for range 3 {
		if results := l.LoadMany(t.Context(), []string{"p:1"}, nil); results[0].Err != nil {
			t.Fatal(results[0].Err)
		}
		s.CloseClientConnections()
	}
}

func TestBatchesAtOnce(t *testing.T) {
	_, base := newBackend(t, values)
	l := newBatchLoader(t, base, 50, Config{}, withConns(4))
	var loads sync.WaitGroup
	for n := range 16 {
		loads.Go(func() {
			keys := someKeys(50 + n)[n:]
			if got := good(t, keys, l.LoadMany(t.Context(), keys, nil)); got != 50 {
				t.Errorf("%d values", got)
			}
		})
	}
	loads.Wait()
}

func TestBatchTimeout(t *testing.T) {
	b, base := newBackend(t, func(w http.ResponseWriter, keys []string) {
		if slices.Contains(keys, "p:0000") {
			time.Sleep(2 * haste)
		}
		values(w, keys)
	})
	l := newBatchLoader(t, base, 4, Config{Timeout: haste})
	keys := someKeys(4)
	results := l.LoadMany(t.Context(), keys, nil)
	if good(t, keys, results) != 3 || b.calls() != 5 {
		t.Errorf("%d calls, %v", b.calls(), results)
	}
	wantReason(t, results[0].Err, loader.Timeout)

	// Parts that would have no time are not tried.
	ctx, cancel := context.WithTimeout(t.Context(), haste+haste/2)
	defer cancel()
	results = l.LoadMany(ctx, keys, nil)
	if n := b.calls() - 5; n != 1 || good(t, keys, results) != 0 {
		t.Errorf("%d calls, %v", n, results)
	}
}

// The other quarters are tried, though the first has left no time to split it.
func TestBatchTimeoutLeavesTheOtherQuarters(t *testing.T) {
	const timeout = 3 * haste
	b, base := newBackend(t, func(w http.ResponseWriter, keys []string) {
		if slices.Contains(keys, "p:0000") {
			time.Sleep(2 * timeout)
		}
		values(w, keys)
	})
	l := newBatchLoader(t, base, 8, Config{Timeout: timeout})
	ctx, cancel := context.WithTimeout(t.Context(), 2*timeout+timeout/2)
	defer cancel()
	keys := someKeys(8)
	results := l.LoadMany(ctx, keys, nil)
	if good(t, keys, results) != 6 || b.calls() != 5 {
		t.Errorf("%d calls, %v", b.calls(), results)
	}
	wantReason(t, results[0].Err, loader.Timeout)
	wantReason(t, results[1].Err, loader.Timeout)
}
