// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

func TestName(t *testing.T) {
	for sentence, c := range map[string]struct{ key, want string }{
		"a plain key is its guard's hash tag":              {"product:42", "keepfresh:guard:{product:42}"},
		"a hash tag inside a key serves":                   {"user:{42}:p", "keepfresh:guard:user:{42}:p"},
		"a hash tag that leads a key is put in front":      {"{42}:p", "keepfresh:guard:{42}:{42}:p"},
		"a key that is all hash tag":                       {"{42}", "keepfresh:guard:{42}:{42}"},
		"an opening brace alone is no hash tag":            {"a{b", "keepfresh:guard:{a{b}"},
		"a closing brace alone needs a tag for its slot":   {"a}b", "keepfresh:guard:{4w2}:a}b"},
		"an empty hash tag needs a tag for its slot":       {"a{}b", "keepfresh:guard:{5dc}:a{}b"},
		"a tag after an empty one does not count":          {"{}{x}", "keepfresh:guard:{im}:{}{x}"},
		"the empty key needs a tag for its slot":           {"", "keepfresh:guard:{1bz}:"},
		"the first closing brace ends the tag":             {"a{b}}c", "keepfresh:guard:a{b}}c"},
		"a tag that begins with a brace":                   {"a{{b}", "keepfresh:guard:a{{b}"},
		"bytes that are no UTF-8 are bytes like any other": {"\xff\x00", "keepfresh:guard:{\xff\x00}"},
	} {
		t.Run(sentence, func(t *testing.T) {
			if got := Name(c.key); got != c.want {
				t.Errorf("the guard of %q is %q, want %q", c.key, got, c.want)
			}
		})
	}
}

// Every key made of few letters, so that any two that could share a guard do
// come up, and random ones.
func awkwardKeys() []string {
	keys := []string{""}
	for from := 0; len(keys) < 4000; from++ {
		for _, c := range []string{"{", "}", ":", "a"} {
			keys = append(keys, keys[from]+c)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		b := make([]byte, rnd.IntN(40))
		for i := range b {
			b[i] = byte(rnd.IntN(256))
			if rnd.IntN(8) == 0 {
				b[i] = "{}"[rnd.IntN(2)]
			}
		}
		keys = append(keys, string(b))
	}
	for i := range 1000 {
		keys = append(keys, fmt.Sprintf("product:%d", i), fmt.Sprintf("{user%d}.following", i))
	}
	for _, key := range keys[:300] {
		keys = append(keys, "{"+tagOf(slot(key))+"}:"+key) // as guards are named
	}
	return keys
}

func TestAGuardLiesInItsKeysSlot(t *testing.T) {
	rdb := client(t, redistest.Start(t, "--cluster-enabled", "yes"))
	keys := awkwardKeys()
	asked := make([][2]*redis.IntCmd, len(keys))
	_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i, key := range keys {
			asked[i] = [2]*redis.IntCmd{p.ClusterKeySlot(t.Context(), key), p.ClusterKeySlot(t.Context(), Name(key))}
		}
		return nil
	})
	must(t, err)
	for i, key := range keys {
		of, guards := asked[i][0].Val(), asked[i][1].Val()
		if of != guards {
			t.Errorf("Redis puts %q into slot %d, and its guard %q into %d", key, of, Name(key), guards)
		}
		if int64(slot(key)) != of {
			t.Errorf("Redis puts %q into slot %d, and we into %d", key, of, slot(key))
		}
	}
}

func TestKeysDoNotShareAGuard(t *testing.T) {
	owner := map[string]string{}
	for _, key := range awkwardKeys() {
		if other, taken := owner[Name(key)]; taken && other != key {
			t.Errorf("%q and %q share the guard %q", key, other, Name(key))
		}
		owner[Name(key)] = key
	}
}

func TestEverySlotHasAShortTag(t *testing.T) {
	for s := range slots {
		if tag := tagOf(s); len(tag) < 1 || len(tag) > 4 || slot(tag) != s {
			t.Fatalf("the tag of slot %d is %q", s, tag)
		}
	}
}

// keyOf undoes Name: what can be undone is not shared.
func keyOf(name string) string {
	rest := name[len(Prefix):]
	if rest[0] != '{' {
		return rest
	}
	for i := range rest {
		if rest[i] == '}' {
			if i == len(rest)-1 {
				return rest[1:i]
			}
			return rest[i+2:]
		}
	}
	return "none"
}

func FuzzName(f *testing.F) {
	for _, key := range []string{"", "a", "a{b}c", "{a}", "{}", "}", "{", "a}b{c}", "{{a}}", "\xff{\x00}"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		name := Name(key)
		if slot(name) != slot(key) {
			t.Errorf("the guard %q of %q lies in another slot", name, key)
		}
		if keyOf(name) != key {
			t.Errorf("the guard %q of %q could be that of %q", name, key, keyOf(name))
		}
	})
}

func BenchmarkTags(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		findTags()
	}
}

func BenchmarkName(b *testing.B) {
	for sentence, key := range map[string]string{"plain": "product:12345", "tagged": "user:{12345}:p", "looked up": "a}b:12345"} {
		b.Run(sentence, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Name(key)
			}
		})
	}
}
