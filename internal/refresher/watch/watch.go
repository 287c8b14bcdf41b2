// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package watch hears from Redis which keys are new, which are gone, and which a
// reader has missed, by keyspace notifications. It is the watch to package
// discover's list, as in an informer of Kubernetes.
//
// Notifications are lossy: they are not kept for a connection that is down, Redis
// cuts off a reader that is slow, and some things that happen to keys publish
// none. So events only make discovery sooner, and nothing may depend on their
// arrival. What this package promises is to tell when some may be missing:
//
//   - Gap follows each subscription, after it is known to work. Who lists then
//     misses nothing that happened before or after.
//   - Gap also follows a FLUSHALL, FLUSHDB or SWAPDB, and another run of the server
//     behind the same connection.
//   - A consumer that is slow makes nobody wait. What finds no room is dropped,
//     and that is a Gap.
//   - A Watcher that is told nothing any more finds out: it writes a key of its own
//     now and then, and waits for the event.
//
// Which events arrive is found out in that way too, as CONFIG may be forbidden,
// and does not tell all (union says what it hides).
//
//	           ┌───────── try again: 0.1 to 5 s ◄─── connection lost ◄──┐
//	           ▼                                                        │
//	no ──► Probing ──a key of ours, and its event came──► Watching ─────┤
//	interest   ▲    └──no event, no right──► not Watching               │
//	(Off)      └────────── try again: 30 s ◄──────┴──── no events any more
package watch

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
	"github.com/keepfresh/keepfresh/internal/refresher/wake"
)

const (
	minPause  = 100 * time.Millisecond // between tries to connect
	maxPause  = 5 * time.Second
	gathering = 100 * time.Millisecond // for interests that change together
)

// Kind is what happened to a key: one or more of the kinds.
type Kind uint8

// The kinds. Created and Gone exclude each other: the last counts.
const (
	Created Kind = 1 << iota // it was not there, and is
	Gone                     // it was deleted, renamed, evicted, or has expired
	Missed                   // a reader asked for it, and it was not there
)

// Has says whether k includes a kind.
func (k Kind) Has(kind Kind) bool { return k&kind != 0 }

func (k Kind) then(next Kind) Kind {
	if next.Has(Created | Gone) {
		k &^= Created | Gone
	}
	return k | next
}

// Event is what was last heard of a key. It is a hint: Redis has to be asked.
type Event struct {
	Key  string
	Kind Kind
}

// Handler is told what is heard. Events may take its time; the others must not
// block.
type Handler struct {
	Events  func([]Event) // of different keys, in no order
	Gap     func()        // events may be missing: list all keys again
	Changed func(Status)  // another Reason
}

// Interest is what one keyspace wants to hear of.
type Interest struct {
	Prefix    string // how its keys begin
	Misses    bool   // of misses too
	Configure bool   // and Redis may be configured to tell
}

// Reason is how the watching stands, in one word.
type Reason string

// The reasons. Only Watching means that new keys are heard of.
const (
	Off              Reason = "Off"              // nobody is interested
	Probing          Reason = "Probing"          // it is being found out whether events come
	Watching         Reason = "Watching"         // all that is wanted comes
	MissesNotSent    Reason = "MissesNotSent"    // new keys are heard of, but misses are not
	EventsNotSent    Reason = "EventsNotSent"    // Redis publishes no events of new keys
	PermissionDenied Reason = "PermissionDenied" // this user may not subscribe, or not configure
	Unavailable      Reason = "Unavailable"      // Redis cannot be reached, or does not serve
)

// Status is a Reason with a sentence for people.
type Status struct {
	Reason  Reason
	Message string
}

// Heard says whether new keys are heard of, so that listings may be rare.
func (s Status) Heard() bool { return s.Reason == Watching || s.Reason == MissesNotSent }

// pace is how often a Watcher looks whether things have changed.
type pace struct {
	check    time.Duration // whether events still come
	tryAgain time.Duration // where none came, or it may not ask
}

var usual = pace{check: 5 * time.Second, tryAgain: 30 * time.Second}

// Watcher listens to one Redis. It is safe for concurrent use.
type Watcher struct {
	rdb      *redis.Client
	channels channels
	h        Handler
	log      *slog.Logger
	pace     pace
	queue    *queue
	own      *own

	cancel  context.CancelFunc
	loops   sync.WaitGroup
	changed wake.Signal

	mu      sync.Mutex
	want    subject
	status  Status
	decided chan struct{} // closed when it is known how watching for want stands
}

// subject is what all interests come to.
type subject struct {
	prefixes          []string
	misses, configure bool
}

func subjectOf(interests []Interest) (s subject) {
	for _, i := range interests {
		s.prefixes = append(s.prefixes, i.Prefix)
		s.misses = s.misses || i.Misses
		s.configure = s.configure || i.Configure
	}
	s.prefixes = merge(s.prefixes, maxPatterns)
	return s
}

func (s subject) equal(o subject) bool {
	return slices.Equal(s.prefixes, o.prefixes) && s.misses == o.misses && s.configure == o.configure
}

// Start returns a Watcher that is interested in nothing yet. It puts a hook into
// the client, through which all commands on watched keys must go; the client must
// not be in use yet.
func Start(rdb *redis.Client, h Handler, log *slog.Logger) *Watcher {
	return start(rdb, h, log, usual)
}

func start(rdb *redis.Client, h Handler, log *slog.Logger, p pace) *Watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watcher{
		rdb: rdb, channels: channelsOf(rdb.Options().DB), h: h, log: log, pace: p, queue: newQueue(),
		cancel: cancel, changed: wake.NewSignal(), decided: make(chan struct{}),
		status: Status{Probing, "it is not known yet whether Redis sends key events"},
	}
	w.own = newOwn(func(key string) { w.queue.put(key, Missed) })
	rdb.AddHook(w.own)
	w.loops.Go(func() { w.run(ctx) })
	w.loops.Go(func() { w.deliver(ctx) })
	return w
}

// Close ends the subscription, and returns when the handler is called no more.
func (w *Watcher) Close() {
	w.cancel()
	w.loops.Wait()
}

// Watch sets what is to be heard of. A change that Redis has to be asked for anew
// is followed by a Gap.
func (w *Watcher) Watch(interests []Interest) {
	want := subjectOf(interests)
	w.mu.Lock()
	defer w.mu.Unlock()
	if want.equal(w.want) && w.status.Reason != Probing {
		return
	}
	w.want = want
	if isClosed(w.decided) {
		w.decided = make(chan struct{})
	}
	w.changed.Set()
}

// Ready returns when it is known how watching stands for what was last asked for,
// or when ctx ends. A listing that begins then misses nothing.
func (w *Watcher) Ready(ctx context.Context) {
	for {
		w.mu.Lock()
		decided := w.decided
		w.mu.Unlock()
		if isClosed(decided) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-decided:
		}
	}
}

// Status is how watching stands.
func (w *Watcher) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// run makes one subscription after the other.
func (w *Watcher) run(ctx context.Context) {
	w.changed.Wait(ctx, forever) // for the first interest
	pause := minPause
	for ctx.Err() == nil {
		_ = wake.Sleep(ctx, gathering)
		w.changed.Clear()
		w.mu.Lock()
		want := w.want
		w.mu.Unlock()
		if len(want.prefixes) == 0 {
			w.become(want, Status{Off, "key events are not asked for"})
			w.changed.Wait(ctx, forever)
			continue
		}
		s := newSession(w, want)
		err := s.run(ctx)
		w.own.reset(false)
		var no refused
		switch {
		case ctx.Err() != nil || err == nil: // other interests
			continue
		case errors.As(err, &no):
			w.become(want, Status(no))
			w.changed.Wait(ctx, vary(w.pace.tryAgain))
			continue
		case !s.proven.IsZero() && time.Since(s.proven) > maxPause:
			pause = minPause // that it was cut is no news until it stays so
		default:
			if s.proven.IsZero() {
				w.become(want, Status{Unavailable, redisconn.Classify(err).Message})
			}
			pause = min(2*pause, maxPause)
		}
		w.log.Debug("key events were interrupted", "error", redisconn.Classify(err).Message)
		w.changed.Wait(ctx, vary(pause))
	}
}

func (w *Watcher) wants(s subject) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.want.equal(s)
}

// become notes how watching for want stands.
func (w *Watcher) become(want subject, s Status) {
	w.mu.Lock()
	news := s.Reason != w.status.Reason
	w.status = s
	if want.equal(w.want) && !isClosed(w.decided) {
		close(w.decided)
	}
	w.mu.Unlock()
	if news {
		w.log.Info("watching changed", "reason", s.Reason, "message", s.Message)
		w.h.Changed(s)
	}
}

// deliver hands events over.
func (w *Watcher) deliver(ctx context.Context) {
	for ctx.Err() == nil {
		w.queue.wake.Wait(ctx, forever)
		_ = wake.Sleep(ctx, gather)
		if ctx.Err() != nil {
			return
		}
		w.queue.wake.Clear()
		events, lost := w.queue.take()
		if lost {
			w.log.Info("more key events came than could be taken in; listing anew")
			w.h.Gap()
		}
		if len(events) > 0 {
			w.h.Events(events)
		}
	}
}

const forever = time.Duration(1<<63 - 1)

// vary takes a random quarter off, to part those who wait together.
func vary(d time.Duration) time.Duration { return d - rand.N(d/4) }

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
