// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package refresher

import (
	"container/list"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/guard"
	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/loader"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

// Explanation is what is known of one key at one moment: what Redis says, and
// what the engine has in mind. It holds no secret.
type Explanation struct {
	Keyspace string // whose template the key matches
	At       time.Time

	// Redis is Connected if it was asked, else why it could not be. Then State is
	// KeyUnknown.
	Redis redisconn.Status
	State KeyState
	Type  string        // as by TYPE
	TTL   time.Duration // or guard.NoExpiry, or guard.Missing
	Guard GuardState

	Tracked     bool      // the key is in the schedule
	Due         time.Time // when it becomes due, or became; zero if that is not known
	NextAttempt time.Time // when it is looked at again; zero if it is not, or is just being rebuilt
	LastLoad    time.Time // zero if this engine has not loaded it, or an application wrote it since
	LastOutcome *KeyOutcome
	Failures    int // in a row

	BreakerOpen bool // the keyspace's loads fail as a whole

	// Silent says that the keyspace's loop did not answer in time: it is stuck, or
	// busy. All that the engine has in mind of the key is missing here then.
	Silent bool
}

// KeyState is how a key stands.
type KeyState string

// The states.
const (
	KeyFresh   KeyState = "Fresh"   // age up to the refresh ratio
	KeyStale   KeyState = "Stale"   // older, but there
	KeyMissing KeyState = "Missing" // not there
	KeyIgnored KeyState = "Ignored" // no string, or without an expiry
	KeyUnknown KeyState = "Unknown" // Redis could not be asked
)

// GuardState is who holds a key's guard.
type GuardState struct {
	Held bool
	Ours bool          // this engine rebuilds the key
	TTL  time.Duration // until Redis lets go of it, unless it is renewed
}

// KeyOutcome is how the last rebuild of a key ended.
type KeyOutcome struct {
	Time    time.Time
	Outcome string
	Failure *Failure // why, where there is something to tell
}

// outcomeWords are the words for what is remembered of rebuilds.
var outcomeWords = map[outcome]string{
	committed: "Committed", deleted: "Deleted", notFound: "NotFound", changed: "Changed",
	failed: "Failed", lost: "Lost", ignoring: "Ignored",
}

// Explain tells what is known of a key, and false if no keyspace of the policy
// that is at work has it. It changes nothing, in Redis or in the schedule, and
// waits no longer than ctx.
func (e *Engine) Explain(ctx context.Context, id ID, key string) (Explanation, bool) {
	l, srv := e.owner(id, key)
	if l == nil {
		return Explanation{}, false
	}
	defer srv.users.Done()
	out := Explanation{Keyspace: l.name, At: time.Now(), State: KeyUnknown, Redis: srv.status()}
	if srv.up() {
		srv.explain(ctx, key, &out)
	}
	told := out
	if err := l.wait(ctx, func() { l.explain(key, &told) }); err != nil {
		out.Silent = true
		return out, true
	}
	return told, true
}

// owner is the lane that a key belongs to, and its server, which is held until
// its users are told otherwise.
func (e *Engine) owner(id ID, key string) (*lane, *server) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.policies[id]
	if p == nil {
		return nil, nil
	}
	for _, l := range p.lanes {
		if l.view.Load().set.template.Matches(key) {
			p.srv.users.Add(1)
			return l, p.srv
		}
	}
	return nil, nil
}

// explain asks Redis, by commands that change nothing.
func (s *server) explain(ctx context.Context, key string, out *Explanation) {
	var kind *redis.StatusCmd
	var ttl, held *redis.Cmd
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		kind, ttl, held = p.Type(ctx, key), p.Do(ctx, "PTTL", key), p.Do(ctx, "PTTL", guard.Name(key))
		return nil
	})
	if err != nil {
		out.Redis = redisconn.Classify(err)
		return
	}
	left, _ := ttl.Int64()
	lease, _ := held.Int64()
	out.Redis = redisconn.Status{Reason: redisconn.Connected}
	out.Type, out.TTL = kind.Val(), guard.TTL(left)
	out.Guard = GuardState{Held: lease != guard.Missing, TTL: max(0, guard.TTL(lease))}
}

// explain adds what the lane knows.
func (l *lane) explain(key string, out *Explanation) {
	out.BreakerOpen = l.breaker.over(l) > 0
	if out.Redis.Reason == redisconn.Connected {
		out.State = l.set.state(out.Type, out.TTL)
	}
	lead := l.lead.ahead()
	if out.State == KeyFresh || out.State == KeyStale {
		out.Due = out.At.Add(l.set.timing.untilDue(out.TTL, lead, 0))
	}
	known := l.keys.Find(key)
	if known == 0 {
		return
	}
	out.Tracked, out.LastLoad, out.Failures = true, l.loaded(known), l.failures(key)
	out.LastOutcome = l.recent.of(key, out.LastLoad, out.Failures)
	out.Guard.Ours = out.Guard.Held && l.keys.Has(known, busy)
	if l.keys.Has(known, busy) {
		return
	}
	at, waits := l.keys.Until(known)
	if !waits {
		at = out.At // it is due
	}
	out.NextAttempt = at
	for _, t := range []time.Time{l.breaker.until, out.At} {
		if out.NextAttempt.Before(t) {
			out.NextAttempt = t
		}
	}
	if out.Failures == 0 && at.Before(out.Due) {
		out.Due = at // it has its share of jitter in it
	}
}

// state is how a key stands that Redis says this of.
func (s *settings) state(kind string, ttl time.Duration) KeyState {
	switch {
	case ttl == guard.Missing || kind == "none":
		return KeyMissing
	case kind != "string" || ttl == guard.NoExpiry:
		return KeyIgnored
	case s.timing.untilStale(ttl) < 0:
		return KeyStale
	}
	return KeyFresh
}

// maxRecent bounds what a lane remembers of single keys.
const maxRecent = 100

// recent remembers how the last rebuilds ended that did not simply commit: of
// the keys that had such an end last.
type recent struct {
	order list.List // of recalled, the latest first
	by    map[string]*list.Element
}

type recalled struct {
	key string
	KeyOutcome
}

func (r *recent) note(res result, now time.Time) {
	word := outcomeWords[res.outcome]
	if word == "" {
		return // it was not rebuilt
	}
	key := res.key
	if known := r.by[key]; known != nil {
		r.order.Remove(known)
		delete(r.by, key)
	}
	if res.outcome == committed {
		return // the schedule remembers that
	}
	if r.by == nil {
		r.by = map[string]*list.Element{}
	}
	r.by[key] = r.order.PushFront(recalled{key, KeyOutcome{now, word, res.failure}})
	if r.order.Len() > maxRecent {
		delete(r.by, r.order.Remove(r.order.Back()).(recalled).key)
	}
}

// of is how the last rebuild of a key ended, as far as that is remembered, or
// told by when it was loaded and how often it has failed since.
func (r *recent) of(key string, loaded time.Time, failures int) *KeyOutcome {
	switch known := r.by[key]; {
	case known != nil:
		out := known.Value.(recalled).KeyOutcome
		return &out
	case loaded.IsZero():
		return nil
	case failures > 0:
		return &KeyOutcome{Time: loaded, Outcome: outcomeWords[failed]}
	default:
		return &KeyOutcome{Time: loaded, Outcome: outcomeWords[committed]}
	}
}

// Description is what a keyspace alone says of a key.
type Description struct {
	Params []Param
	loader.Request
}

// Param is a placeholder and what it stands for.
type Param struct{ Name, Value string }

// Describe takes a key apart by a keyspace's template, and tells what its loader would
// be asked for. Where the key does not match, the error says why.
func Describe(template string, kind loader.Kind, key string) (Description, error) {
	t, err := keyspace.Parse(template)
	if err != nil {
		return Description{}, err
	}
	values, ok := t.Match(key, nil)
	if !ok {
		return Description{}, mismatch(t, key)
	}
	var out Description
	for i, name := range t.Names() {
		out.Params = append(out.Params, Param{name, values[i]})
	}
	source, err := kind.Open(t, loader.Environment{})
	if err != nil {
		out.Problem = err.Error()
		return out, nil
	}
	defer source.Close()
	out.Request = source.Describe(key)
	return out, nil
}

// Reserved says that a key is one of Keepfresh's own.
func Reserved(key string) bool { return strings.HasPrefix(key, keyspace.Reserved) }

// mismatch says why a key does not match a template.
func mismatch(t *keyspace.Template, key string) error {
	if !strings.HasPrefix(key, t.Prefix()) {
		return fmt.Errorf("the key does not begin with %q", t.Prefix())
	}
	if wide, err := keyspace.Parse(widened(t.String())); err == nil && wide.Matches(key) {
		return fmt.Errorf("a placeholder {name} stands for no colon; {+name} would")
	}
	return fmt.Errorf("what stands between or behind the placeholders is different, or nothing is left for one of them")
}

// widened is a template with {+name} for each {name}.
func widened(template string) string {
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		b.WriteByte(template[i])
		if template[i] != '{' {
			continue
		}
		i++ // the template has been parsed: a brace is not the last character
		if template[i] != '{' && template[i] != '+' {
			b.WriteByte('+')
		}
		b.WriteByte(template[i])
	}
	return b.String()
}
