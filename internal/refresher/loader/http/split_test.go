// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package http

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepfresh/keepfresh/internal/refresher/loader"
)

// What a key does to every call that asks for it.
var poisons = map[string]func(w http.ResponseWriter){
	"500":            func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
	"502":            func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
	"400":            func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) },
	"403":            func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) },
	"malformed JSON": func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"values":{"p:0001":"x`) },
	"NaN":            func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"values":{"p:0001":NaN}}`) },
	"no UTF-8":       func(w http.ResponseWriter) { _, _ = io.WriteString(w, "{\"values\":{\"p:0001\":\"\xff\"}}") },
	"a lone surrogate": func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, `{"values":{"p:0001":"\ud800"}}`)
	},
	"a huge value": func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, `{"values":{"p:0001":"`+strings.Repeat("x", 100_000)+`"}}`)
	},
	"an answer that breaks off": func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"values":{`)
	},
}

func TestPoisonousKeyHarmsItselfAlone(t *testing.T) {
	for sentence, poison := range poisons {
		for where, place := range map[string]int{"first": 0, "last": 99, "within": 42} {
			t.Run(sentence+" "+where, func(t *testing.T) {
				t.Parallel()
				keys := someKeys(100)
				b, base := newBackend(t, func(w http.ResponseWriter, asked []string) {
					if slices.Contains(asked, keys[place]) {
						poison(w)
						return
					}
					values(w, asked)
				})
				results := newBatchLoader(t, base, 100, Config{MaxBodyBytes: 50_000}).LoadMany(t.Context(), keys, nil)
				if n := good(t, keys, results); n != 99 || results[place].Err == nil {
					t.Errorf("%d values; %v", n, results[place].Err)
				}
				if n := b.calls(); n > 1+2*7 {
					t.Errorf("%d calls", n)
				}
			})
		}
	}
}

func TestTwoPoisonousKeysHarmThemselvesAlone(t *testing.T) {
	keys := someKeys(100)
	for _, pair := range [][2]int{{0, 1}, {0, 99}, {49, 50}, {10, 60}, {24, 25}} {
		b, base := newBackend(t, func(w http.ResponseWriter, asked []string) {
			if slices.Contains(asked, keys[pair[0]]) || slices.Contains(asked, keys[pair[1]]) {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			values(w, asked)
		})
		results := newBatchLoader(t, base, 100, Config{}).LoadMany(t.Context(), keys, nil)
		if n := good(t, keys, results); n != 98 || b.calls() > 1+4*7 {
			t.Errorf("%v: %d values after %d calls", pair, n, b.calls())
		}
	}
}

// failing is a transport that answers in batches, with 500 where bad says so, and
// counts its calls.
func failing(bad func(asked []string) bool) (calls *int, _ http.RoundTripper) {
	calls = new(int)
	return calls, transportFunc(func(r *http.Request) (*http.Response, error) {
		*calls++
		w := httptest.NewRecorder()
		var question struct{ Keys []string }
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil || bad(question.Keys) {
			w.WriteHeader(http.StatusInternalServerError)
		} else {
			values(w, question.Keys)
		}
		return w.Result(), nil
	})
}

func TestThreePoisonousKeysHarmThemselvesAlone(t *testing.T) {
	keys := someKeys(16)
	for i := range keys {
		for j := range i {
			for k := range j {
				calls, transport := failing(func(asked []string) bool {
					return slices.Contains(asked, keys[i]) || slices.Contains(asked, keys[j]) || slices.Contains(asked, keys[k])
				})
				l := newBatchLoader(t, "http://h", 16, Config{}, withTransport(transport))
				if n := good(t, keys, l.LoadMany(t.Context(), keys, nil)); n != 13 {
					t.Fatalf("%d, %d, %d: %d values after %d calls", i, j, k, n, *calls)
				}
			}
		}
	}
}

// Whatever many keys do, the calls are bounded, and what was loaded is kept.
func TestManyPoisonousKeysCostABoundedNumberOfCalls(t *testing.T) {
	keys := someKeys(1000)
	for every := 2; every < 400; every = every*3/2 + 1 {
		b, base := newBackend(t, func(w http.ResponseWriter, asked []string) {
			for _, key := range asked {
				if slices.Index(keys, key)%every == 0 {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
			}
			values(w, asked)
		})
		results := newBatchLoader(t, base, 1000, Config{}).LoadMany(t.Context(), keys, nil)
		if b.calls() > 1+4*10 {
			t.Errorf("one key in %d: %d calls", every, b.calls())
		}
		good(t, keys, results)
		for i, r := range results {
			if (r.Err == nil) == (r.Value == nil) {
				t.Fatalf("%s has neither a value nor an error, or both", keys[i])
			}
		}
	}
}

// A loader that fails as a whole is not asked over and over.
func TestLoaderThatIsDownIsLeftAlone(t *testing.T) {
	status := func(code int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "7")
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
		}
	}
	for sentence, c := range map[string]struct {
		reply func(w http.ResponseWriter)
		calls int
		want  loader.Reason
		after time.Duration
	}{
		"500":                {status(500), 5, loader.UnexpectedStatus, 0},
		"400":                {status(400), 5, loader.UnexpectedStatus, 0},
		"413":                {status(413), 5, loader.UnexpectedStatus, 0},
		"504":                {status(504), 5, loader.UnexpectedStatus, 0},
		"403":                {status(403), 5, loader.UnexpectedStatus, 0},
		"401":                {status(401), 1, loader.UnexpectedStatus, 0},
		"404":                {status(404), 1, loader.UnexpectedStatus, 0},
		"405":                {status(405), 1, loader.UnexpectedStatus, 0},
		"410":                {status(410), 1, loader.UnexpectedStatus, 0},
		"204":                {status(204), 1, loader.UnexpectedStatus, 0},
		"302":                {status(302), 1, loader.Redirected, 0},
		"429":                {status(429), 1, loader.UnexpectedStatus, 7 * time.Second},
		"503":                {status(503), 1, loader.UnexpectedStatus, 7 * time.Second},
		"a page of HTML":     {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") }, 5, loader.BodyBroken, 0},
		"an empty body":      {func(http.ResponseWriter) {}, 5, loader.BodyBroken, 0},
		"too much":           {func(w http.ResponseWriter) { _, _ = io.WriteString(w, strings.Repeat(" ", 2<<20)) }, 5, loader.BodyTooLarge, 0},
		"no answer":          {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 1, loader.ConnectionFailed, 0},
		"nothing about keys": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"error":"s3cret"}`) }, 1, loader.NotAnswered, 0},
	} {
		t.Run(sentence, func(t *testing.T) {
			b, base := newBackend(t, func(w http.ResponseWriter, _ []string) { c.reply(w) })
			keys := someKeys(100)
			l := newBatchLoader(t, base, 100, Config{})
			for _, r := range l.LoadMany(t.Context(), keys, nil) {
				wantReason(t, r.Err, c.want)
				if r.Err.RetryAfter != c.after || strings.Contains(r.Err.Error(), "s3cret") {
					t.Fatalf("got %v, to be tried after %s", r.Err, r.Err.RetryAfter)
				}
			}
			if n := b.calls(); n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
		})
	}
}

func TestNobodyListensForABatch(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	_ = listener.Close()
	asked := 0
	for _, r := range newBatchLoader(t, base, 100, Config{}).LoadMany(t.Context(), someKeys(100), nil) {
		wantReason(t, r.Err, loader.ConnectionFailed)
		asked++
	}
	if asked != 100 {
		t.Errorf("%d results", asked)
	}
}
