// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/redistest"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

func TestHearsWhatHappensToItsKeys(t *testing.T) {
	t.Parallel()
	for sentence, flags := range map[string]string{
		"by keyspace":         "Kgxenm",
		"by keyevent":         "Egxenm",
		"by everything":       "KEAnm",
		"by the little of it": "K$gxenm", // keyspace, though it is loud: there is no other
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Start(t, "--notify-keyspace-events", flags, "--databases", "4")
			e := listen(t, redisconn.Config{Address: srv.Addr, Database: 3}, Interest{Prefix: "product:", Misses: true}, Interest{Prefix: "price*:"})
			e.want(t, Watching)
			app := redis.NewClient(&redis.Options{Addr: srv.Addr, DB: 3})
			defer func() { _ = app.Close() }()
			ctx := t.Context()
			must(t, app.Set(ctx, "product:new", "v", time.Minute).Err())
			must(t, app.Set(ctx, "price*:new", "v", time.Minute).Err())
			must(t, app.Set(ctx, "product:short", "v", 20*time.Millisecond).Err())
			must(t, app.Set(ctx, "product:deleted", "v", time.Minute).Err())
			must(t, app.Del(ctx, "product:deleted").Err())
			must(t, app.Rename(ctx, "price*:new", "product:renamed").Err())
			_ = app.Get(ctx, "product:missed").Err()
			must(t, app.Set(ctx, "prices:other", "v", time.Minute).Err()) // were the pattern not escaped, it would match
			must(t, app.Set(ctx, "other:new", "v", time.Minute).Err())
			must(t, app.Set(ctx, "keepfresh:guard:x", "v", time.Minute).Err())
			for key, want := range map[string]Kind{
				"product:new": Created, "product:short": Gone, "product:deleted": Gone,
				"price*:new": Gone, "product:renamed": Created, "product:missed": Missed,
			} {
				eventually(t, key, func() bool { return e.of(key).Has(want) })
			}
			for _, key := range []string{"prices:other", "other:new", "keepfresh:guard:x"} {
				if got := e.of(key); got != 0 {
					t.Errorf("%q was heard of: %v", key, got)
				}
			}
		})
	}
}

func TestSaysWhatItWouldTake(t *testing.T) {
	t.Parallel()
	misses := []Interest{{Prefix: "product:", Misses: true}}
	for sentence, c := range map[string]struct {
		flags     string
		interests []Interest
		want      Reason
		part      string
	}{
		"no events at all":     {"", products, EventsNotSent, "to Kn or more"},
		"all but those of new": {"KEA", products, EventsNotSent, "to Kn or more"},
		"neither K nor E":      {"nm", products, EventsNotSent, "to Kn or more"},
		"no misses":            {"Kn", misses, MissesNotSent, "add m"},
		"misses alone":         {"Km", misses, EventsNotSent, "to Knm or more"},
		"no interest":          {"Kn", nil, Off, ""},
		"all that is wanted":   {"Kn", products, Watching, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Start(t, "--notify-keyspace-events", c.flags)
			e := listen(t, at(srv), c.interests...)
			e.want(t, c.want)
			if s := e.Status(); !strings.Contains(s.Message, c.part) {
				t.Errorf("the message is %q, want ...%s...", s.Message, c.part)
			}
			if got := srv.Client(t).ConfigGet(t.Context(), setting).Val()[setting]; len(got) != len(c.flags)-hidden(c.flags) {
				t.Errorf("the flags are %q now, and were %q", got, c.flags)
			}
		})
	}
}

func hidden(flags string) int { return strings.Count(flags, "A") * strings.Count(flags, "n") }

func TestConfigureAddsWhatIsMissingAndNothingElse(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		flags  string
		misses bool
		want   string
	}{
		"to nothing":                       {"", false, "nK"},
		"to nothing, with misses":          {"", true, "nKm"},
		"to lists by keyevent":             {"El", false, "lnE"},
		"to all":                           {"KEA", false, "AKE"}, // and n, which Redis does not tell
		"where it is there":                {"Kn", false, "nK"},
		"where misses are there":           {"KnmE", true, "nKEm"},
		"misses, where the rest is there":  {"Kn", true, "nKm"},
		"nothing to flags that are unused": {"$m", false, "$nKm"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Start(t, "--notify-keyspace-events", c.flags)
			e := listen(t, at(srv), Interest{Prefix: "product:", Misses: c.misses, Configure: true})
			e.want(t, Watching)
			app := srv.Client(t)
			if got := app.ConfigGet(t.Context(), setting).Val()[setting]; got != c.want {
				t.Errorf("the flags are %q, want %q", got, c.want)
			}
			e.wantHeard(t, app)
		})
	}
}

func TestAUserWithFewRights(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, "--notify-keyspace-events", "KEn")
	silent := redistest.Start(t)
	renamed := redistest.Start(t, "--rename-command", "CONFIG", "")
	const commands = " ~product:* ~keepfresh:* +get +set +del +exists +pttl +pexpire +pexpiretime +type +time +scan +info +ping +select +hello +auth +evalsha +eval +subscribe +unsubscribe +psubscribe"
	configure := Interest{Prefix: "product:", Configure: true}
	for sentence, c := range map[string]struct {
		srv      *redistest.Server
		rights   string
		interest Interest
		want     Reason
		part     string
	}{
		"with all channels":              {srv, commands + " allchannels", products[0], Watching, ""},
		"with the channels of the docs":  {srv, commands + " &__keyspace@0__:keepfresh:* &__keyspace@0__:product:* &__keyevent@0__:*", products[0], Watching, ""},
		"with keyspace channels only":    {srv, commands + " &__keyspace@0__:keepfresh:* &__keyspace@0__:product:*", products[0], Watching, ""},
		"with keyevent channels only":    {srv, commands + " &__keyevent@0__:*", products[0], Watching, ""},
		"who may not use the pattern":    {srv, commands + " &__keyspace@0__:* &__keyevent@0__:*", products[0], Watching, ""},
		"without the pattern or events":  {srv, commands + " &__keyspace@0__:*", products[0], PermissionDenied, "&__keyevent@0__:*, or else &__keyspace@0__:keepfresh:*"},
		"without channels":               {srv, commands + " resetchannels", products[0], PermissionDenied, "&__keyevent@0__:*, or else &__keyspace@0__:keepfresh:*"},
		"without SUBSCRIBE":              {srv, commands + " allchannels -subscribe", products[0], PermissionDenied, "give it +subscribe"},
		"without CONFIG":                 {silent, commands + " allchannels", configure, PermissionDenied, "CONFIG"},
		"with CONFIG GET only":           {silent, commands + " allchannels +config|get", configure, PermissionDenied, "CONFIG"},
		"with both":                      {redistest.Start(t), commands + " allchannels +config|get +config|set", configure, Watching, ""},
		"where CONFIG is no more":        {renamed, commands + " allchannels", configure, PermissionDenied, "CONFIG"},
		"without CONFIG, where it is on": {srv, commands + " allchannels", configure, Watching, ""},
		"without the keys of ours":       {srv, "~product:* +@all allchannels", products[0], Unavailable, "may not"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			admin := c.srv.Client(t)
			user := strings.ReplaceAll(sentence, " ", "-")
			rules := append([]string{"on", ">" + secret, "resetchannels"}, strings.Fields(c.rights)...)
			must(t, admin.Do(t.Context(), anys("ACL", "SETUSER", user, rules)...).Err())
			e := listen(t, redisconn.Config{Address: c.srv.Addr, Username: user, Password: secret}, c.interest)
			e.want(t, c.want)
			if s := e.Status(); !strings.Contains(s.Message, c.part) || strings.Contains(s.Message, secret) {
				t.Errorf("the message is %q, want ...%s...", s.Message, c.part)
			}
			if c.want == Watching {
				e.wantHeard(t, admin)
			}
		})
	}
}

func anys(a, b, c string, rest []string) []any {
	all := []any{a, b, c}
	for _, r := range rest {
		all = append(all, r)
	}
	return all
}

// Whoever lists after Ready knows all keys, whenever they were written.
func TestNothingIsLostBetweenListAndWatch(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, "--notify-keyspace-events", "Kn")
	app := srv.Client(t)
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan []string)
	go func() {
		var keys []string
		for i := 0; ctx.Err() == nil; i++ {
			key := "product:" + time.Now().String()
			if app.Set(context.WithoutCancel(ctx), key, "v", time.Minute).Err() == nil {
				keys = append(keys, key)
			}
		}
		written <- keys
	}()
	time.Sleep(50 * time.Millisecond)
	e := listen(t, at(srv), products...)
	listed := map[string]bool{}
	for it := srv.Client(t).Scan(ctx, 0, "product:*", 100).Iterator(); it.Next(ctx); {
		listed[it.Val()] = true
	}
	time.Sleep(50 * time.Millisecond)
	stop()
	keys := <-written
	heard := 0
	eventually(t, "all keys", func() bool {
		heard = 0
		for _, key := range keys {
			if !listed[key] && e.of(key) == 0 {
				return false
			}
			if !listed[key] {
				heard++
			}
		}
		return true
	})
	if heard == 0 || len(listed) == 0 {
		t.Errorf("of %d keys %d were listed and %d heard of; the test needs both", len(keys), len(listed), heard)
	}
}

func TestOtherInterests(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, "--notify-keyspace-events", "Kn")
	app := srv.Client(t)
	e := listen(t, at(srv), products...)
	gaps := e.gapCount()
	e.Watch(products) // no news
	e.Ready(t.Context())
	if e.gapCount() != gaps {
		t.Error("the same interests led to a gap")
	}
	e.Watch(append(products, Interest{Prefix: "price:"}))
	e.Ready(t.Context())
	if e.gapCount() == gaps {
		t.Error("others led to none")
	}
	must(t, app.Set(t.Context(), "price:1", "v", 0).Err())
	eventually(t, "a key of the new kind", func() bool { return e.of("price:1").Has(Created) })
	e.Watch(nil)
	e.Ready(t.Context())
	e.want(t, Off)
	eventually(t, "the end of the subscription", func() bool {
		return len(app.PubSubChannels(t.Context(), "*").Val()) == 0 && app.PubSubNumPat(t.Context()).Val() == 0
	})
	e.Watch(products)
	e.Ready(t.Context())
	e.wantHeard(t, app)
}
