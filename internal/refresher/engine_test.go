// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"testing"
	"time"
)

func TestAKeyOfTheApplicationIsRefreshedBeforeItExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20*time.Millisecond)
	w.set("product:1", "from the application", 5*time.Second)
	w.apply(w.engine(Options{}), w.plan(w.keyspace(func(k *Keyspace) { k.Expire, k.DueAfter = 5*time.Second, 2*time.Second })))

	began := time.Now()
	for time.Since(began) < 11*time.Second { // more than two lives
		if w.get("product:1") == "" {
			t.Fatal("the key expired")
		}
		time.Sleep(10 * time.Millisecond)
	}
	most := int(time.Since(began)/time.Second) + 1 // a second at least lies between two
	if n := w.backend.count("1"); n < 2 || n > most {
		t.Errorf("%d loads in 11 s with a refresh after about 2 s; want about 5", n)
	}
}

func TestKeptKeysAreFilledAndKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5*time.Millisecond)
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(func(k *Keyspace) { k.Keys = []string{"product:1", "product:2"} })))
	eventually(t, "both keys are filled", 3*time.Second, func() bool {
		return w.get("product:1") == "1 load 1" && w.get("product:2") == "2 load 1"
	})
	eventually(t, "the snapshot counts them as fresh", 3*time.Second, func() bool {
		s := products(e)
		return s.Listed && s.Keys == 2 && s.Fresh == 2 && s.LoadersState == Succeeding
	})
	w.rdb.Del(t.Context(), "product:1")
	eventually(t, "a deleted key is filled again", 3*time.Second, func() bool { return w.get("product:1") != "" })
}
