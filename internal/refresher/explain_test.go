// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	httploader "github.com/keepfresh/keepfresh/internal/refresher/loader/http"
)

func TestWhyAKeyDoesNotMatch(t *testing.T) {
	for _, c := range []struct{ template, key, want string }{
		{"product:{id}", "page:1", `the key does not begin with "product:"`},
		{"product:{id}", "product:1:2", "stands for no colon"},
		{"user:{{{id}}}:p", "user:{1:2}:p", "stands for no colon"},
		{"user:{{{id}}}:p", "user:{}:p", "nothing is left"},
		{"a:{x}:b:{+y}", "a:1:c:2", "is different"},
		{"page:home", "page:home2", "is different"},
		{"page:{+x}:b", "page:1:c", "is different"},
	} {
		if _, err := Describe(c.template, httploader.Config{URL: "http://host/"}, c.key); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: %v, want %q", c.template, c.key, err, c.want)
		}
	}
}

func TestAKeyIsTakenApart(t *testing.T) {
	d, err := Describe("a:{x}:{+y}", httploader.Config{URL: "http://host/{x}?all={+y}"}, "a:1/2:3:4")
	if err != nil || fmt.Sprint(d.Params) != "[{x 1/2} {y 3:4}]" || d.Address != "http://host/1%2F2?all=3:4" || d.Method != "GET" || d.Problem != "" {
		t.Errorf("%+v, %v", d, err)
	}
	d, err = Describe("a:{x}", httploader.Config{URL: "http://host/{x}"}, "a:..")
	if err != nil || d.Address != "" || !strings.Contains(d.Problem, "path segment") {
		t.Errorf("a key that makes no URL: %+v, %v", d, err)
	}
}

func TestAKeyIsExplainedWithTheMethodOfItsLoader(t *testing.T) {
	for url, c := range map[string]struct {
		batch int
		want  string
	}{
		"http://catalog/products/{id}": {0, http.MethodGet},
		"http://catalog/products":      {100, http.MethodPost},
	} {
		if d, err := Describe("product:{id}", httploader.Config{URL: url, BatchSize: c.batch}, "product:1"); err != nil || d.Method != c.want || d.Address == "" {
			t.Errorf("%s: %+v, %v; want %s", url, d, err, c.want)
		}
	}
}

// Questions come at any time: while plans change, and while the engine ends.
func TestExplainBesideEverythingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	e := w.engine(Options{})
	plan := w.plan(w.keyspace(func(k *Keyspace) { k.Keys = names("product:", 10) }))
	w.apply(e, plan)
	eventually(t, "the keys are there", 5*time.Second, func() bool { return products(e).Fresh == 10 })
	if got, ok := e.Explain(t.Context(), catalog, "product:1"); !ok || got.State != KeyFresh || !got.Tracked || got.LastOutcome == nil {
		t.Fatalf("%+v, %v", got, ok)
	}
	if _, ok := e.Explain(t.Context(), catalog, "page:1"); ok {
		t.Error("a key of no keyspace is explained")
	}
	if _, ok := e.Explain(t.Context(), ID{"shop", "other"}, "product:1"); ok {
		t.Error("a key of no policy is explained")
	}
	if got, ok := e.Explain(canceled(), catalog, "product:1"); !ok || got.State != KeyUnknown || got.Redis.Message == "" {
		t.Errorf("with no time to ask Redis: %+v, %v", got, ok)
	}

	ctx, stop := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for i := range 4 {
		asking.Go(func() {
			for ctx.Err() == nil {
				e.Explain(ctx, catalog, fmt.Sprintf("product:%d", i))
			}
		})
	}
	other := newProxy(t, w.redis.Addr)
	for i := range 30 {
		p := plan
		if i%2 == 0 {
			p.Redis.Address = other.addr // other lanes, and another client
		}
		w.apply(e, p)
		time.Sleep(20 * time.Millisecond)
	}
	ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	e.Close(ending)
	if ending.Err() != nil {
		t.Error("the engine did not end")
	}
	stop()
	asking.Wait()
}
