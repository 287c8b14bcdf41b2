// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

// Invariant 9: nothing outside a policy's declared keyspaces and `keepfresh:`
// is ever written or deleted.
//
// The engine works as a Redis user that may do nothing but what the docs list,
// on the declared keys only, and Redis must have nothing to log about it. Keys
// that nearly match, in this database and others, must be what they were. All
// that makes the engine write is made to happen: fills, refreshes, deletions of
// what the loader does not find, refreshes on demand, and a Close during loads.
func TestInvariant9NothingElseIsTouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10*time.Millisecond, "--notify-keyspace-events", "Knm")
	ctx := t.Context()
	allow(t, w.rdb, "~product:*", "~kept:*", "~{tag}:*")
	w.rdb.ACLLogReset(ctx)

	others := w.others("product", "product:", "product:1:old", "product::", "Product:1", " product:1", "products:1", "xproduct:1",
		"product:[1]:x", "kept:", "kept:1:2", "{tag}", "{tag}:", "{tag}x:1", "guard:product:1", "keepfresh", "Keepfresh:1",
		"keepfresh:", "keepfresh:x", "keepfresh:product:1", "keepfresh:guard:", "keepfresh:guard:{other:1}")
	for _, key := range names("product:", 20) {
		w.set(key, "from the application", time.Second)
	}
	w.set("{tag}:1", "from the application", time.Second)
	kept := names("kept:", 5)
	plan := w.plan(
		w.keyspace(func(k *Keyspace) { k.OnMiss = Rebuild }),
		w.keyspace(func(k *Keyspace) { k.Name, k.Key, k.Keys = "kept", "kept:{id}", kept }),
		w.keyspace(func(k *Keyspace) { k.Name, k.Key = "tagged", "{{tag}}:{id}" }),
	)
	plan.Redis.Username, plan.Redis.Password = "keepfresh", "secret"
	e := w.engine(Options{})
	w.apply(e, plan)
	eventually(t, "all are kept fresh", 10*time.Second, func() bool {
		return w.backend.total() > 60 && firstMissing(t, w.rdb, append(kept, "product:0", "product:19", "{tag}:1")) == ""
	})
	if snap, _ := e.Snapshot(catalog); snap.Watch.Reason != watch.Watching {
		t.Errorf("the watch stands at %s: %s", snap.Watch.Reason, snap.Watch.Message)
	}
	plan.Refresh = "now"
	w.apply(e, plan)
	eventually(t, "they are refreshed on demand", 10*time.Second, func() bool {
		s, _ := e.Snapshot(catalog)
		return s.Refreshed == "now"
	})
	w.backend.status(404)
	eventually(t, "what is not found is deleted", 10*time.Second, func() bool {
		return w.rdb.Exists(ctx, append(names("product:", 20), kept...)...).Val() == 0
	})
	w.backend.answer(nil)
	time.Sleep(200 * time.Millisecond)
	e.Close(canceled())

	w.unchanged(others)
	denied, err := w.rdb.ACLLog(ctx, 10).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range denied {
		t.Errorf("Redis had to deny: %s %s", d.Reason, d.Object)
	}
}

// A template that matches everything still does not match Keepfresh's own keys,
// those in other databases, and what has no lifetime or is no string.
func TestInvariant9ATemplateForAllKeysSparesGuards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5*time.Millisecond)
	others := w.others("keepfresh:x", "keepfresh:guard:{product:9}", "keepfresh:", "no expiry")
	w.rdb.Persist(t.Context(), "no expiry")
	others["no expiry"] = w.dump(w.rdb, "no expiry")
	w.rdb.HSet(t.Context(), "hash", "field", "value")
	w.rdb.Expire(t.Context(), "hash", time.Minute)
	others["hash"] = w.dump(w.rdb, "hash")
	for _, key := range []string{"a", "b:c", "keepfres", "keepfreshly", "\x00\xff", "with space"} {
		w.set(key, "from the application", 2*time.Second)
	}
	e := w.engine(Options{})
	w.apply(e, w.plan(w.keyspace(func(k *Keyspace) { k.Key, web(k).URL = "{+any}", w.backend.URL+"/{any}" })))
	eventually(t, "the others are refreshed", 10*time.Second, func() bool {
		return w.backend.count("a") > 2 && w.backend.count("b:c") > 2 && w.backend.count("keepfreshly") > 2 && w.backend.count("with space") > 2
	})
	w.unchanged(others)
	if n := w.backend.count("keepfresh:x") + w.backend.count("hash") + w.backend.count("no expiry"); n > 0 {
		t.Errorf("%d loads for keys that are no business of the engine's", n)
	}
	for key := range others {
		w.rdb.Del(t.Context(), strings.TrimPrefix(key, "other database: "))
	}
}

// allow makes the user that docs/cachepolicy.md describes.
func allow(t *testing.T, rdb *redis.Client, keys ...string) {
	t.Helper()
	args := []any{"ACL", "SETUSER", "keepfresh", "reset", "on", ">secret", "~keepfresh:*"}
	for _, k := range keys {
		args = append(args, k, "&__keyspace@0__:"+k[1:])
	}
	for _, c := range strings.Fields("+get +mget +set +del +exists +pttl +pexpire +pexpiretime +type +time +object +scan +info +ping +select +hello +auth +evalsha +eval " +
		"+subscribe +unsubscribe +psubscribe &__keyevent@0__:* &__keyspace@0__:keepfresh:*") {
		args = append(args, c)
	}
	if err := rdb.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

// others writes keys that are overdue, here and in another database, and says
// what Redis has of them.
func (w *world) others(keys ...string) map[string]string {
	w.t.Helper()
	elsewhere := redis.NewClient(&redis.Options{Addr: w.redis.Addr, DB: 3})
	w.t.Cleanup(func() { _ = elsewhere.Close() })
	all := map[string]string{}
	for _, key := range keys {
		w.set(key, "of somebody else", time.Minute)
		all[key] = w.dump(w.rdb, key)
	}
	for _, key := range []string{"product:1", "kept:1", "a"} {
		if err := elsewhere.Set(w.t.Context(), key, "of somebody else", time.Minute).Err(); err != nil {
			w.t.Fatal(err)
		}
		all["other database: "+key] = w.dump(elsewhere, key)
	}
	w.t.Cleanup(func() { // before the world looks for guards
		for _, key := range keys {
			w.rdb.Del(context.Background(), key)
		}
	})
	return all
}

func (w *world) unchanged(all map[string]string) {
	w.t.Helper()
	elsewhere := redis.NewClient(&redis.Options{Addr: w.redis.Addr, DB: 3})
	defer func() { _ = elsewhere.Close() }()
	for key, was := range all {
		rdb := w.rdb
		if name, found := strings.CutPrefix(key, "other database: "); found {
			rdb, key = elsewhere, name
		}
		if is := w.dump(rdb, key); is != was {
			w.t.Errorf("%q was %q and is %q", key, was, is)
		}
	}
}

// dump is a key's value and expiry.
func (w *world) dump(rdb *redis.Client, key string) string {
	w.t.Helper()
	ctx := w.t.Context()
	value, err := rdb.Dump(ctx, key).Result()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x until %d", value, rdb.PExpireTime(ctx, key).Val())
}
