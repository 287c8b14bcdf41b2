// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keepfresh/keepfresh/internal/refresher/keyspace"
	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

const (
	timeout      = 3 * time.Second        // for one answer
	grace        = 300 * time.Millisecond // for an event that a proxy lets come late
	barrierEvery = 50 * time.Millisecond
)

// refused is the end of a session that another try would not help, unless
// somebody changes something.
type refused Status

func (r refused) Error() string { return r.Message }

// errStopped ends a session in which other events come than did at first. The next
// one finds out what can be done about it.
var errStopped = errors.New("other key events are sent than before")

// errInterrupted ends a session whose connection is not what it was: go-redis
// makes a new one behind our back, and subscribes again.
var errInterrupted = errors.New("the subscription was interrupted")

// session is one subscription, from connecting to its end. It speaks by turns:
// one goroutine reads, and hands on events at once; what answers a command it
// hands to run.
type session struct {
	w      *Watcher
	want   subject
	ps     *redis.PubSub
	probe  string    // a key of our own
	answer chan any  // *redis.Subscription, *redis.Pong or an error
	proven time.Time // since when it has worked

	mu   sync.Mutex
	seen map[sight]bool // events of the probe

	// The rest belongs to run.
	by     means  // by which it watches
	misses bool   // come too
	barred bool   // this user may not subscribe to patterns
	last   vitals // of the server
}

// sight is an event, and the way by which it came.
type sight struct {
	by    means
	event string
}

func newSession(w *Watcher, want subject) *session {
	return &session{
		w: w, want: want, ps: w.rdb.Subscribe(context.Background()),
		probe: reserved + "watch:" + rand.Text(), answer: make(chan any, 64), seen: map[sight]bool{},
	}
}

// run watches until the connection is lost, events fail to come, ctx ends or
// other interests are set. In the last case there is no error.
func (s *session) run(ctx context.Context) error {
	var reader sync.WaitGroup
	defer reader.Wait()
	defer func() { _ = s.ps.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = s.ps.Close() })
	defer stop()

	s.w.own.reset(s.want.misses)
	if err := s.send(ctx, s.ps.Subscribe, s.w.channels.space+s.probe); err != nil {
		return err
	}
	reader.Go(s.read)
	status, err := s.settle(ctx)
	if err != nil {
		return err
	}
	s.proven = time.Now()
	s.w.h.Gap() // before anybody who waits for the verdict lists
	s.w.become(s.want, status)
	return s.watch(ctx)
}

// settle finds out which events come, and subscribes to those that are wanted.
func (s *session) settle(ctx context.Context) (Status, error) {
	trial := []string{s.w.channels.event + "new", s.w.channels.event + "keymiss"}
	space := s.confirm(ctx, 1)
	if space != nil && !redisconn.IsReply(space) {
		return Status{}, space
	}
	if err := s.subscribe(ctx, s.ps.Subscribe, trial...); err != nil && (space != nil || !redisconn.IsReply(err)) {
		return Status{}, s.notSubscribed(err) // one of the two forms will do
	}
	if err := s.findOut(ctx); err != nil {
		return Status{}, err
	}
	if err := s.listen(ctx, trial); err != nil {
		return Status{}, err
	}
	if s.want.misses && !s.misses {
		return Status{MissesNotSent, "new keys are heard of at once, but this Redis sends no events of misses, which onMiss: Rebuild needs: add m to its " + setting}, nil
	}
	return Status{Watching, "Redis tells of new keys by key events"}, nil
}

// findOut finds out by what means to watch, and has Redis configured for it if
// that is wanted.
func (s *session) findOut(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	s.by, s.misses = s.choose()
	if s.want.configure && (s.by == 0 || s.want.misses && !s.misses) {
		if err := s.configure(ctx); err != nil && (s.by == 0 || !isRefused(err)) {
			return err
		}
		if err := s.check(ctx); err != nil {
			return err
		}
		s.by, s.misses = s.choose()
	}
	if s.by == 0 {
		return refused{EventsNotSent, fmt.Sprintf(
			"this Redis sends no events of new keys: set %s there to %s or more, or let Keepfresh do it by redis.keyEvents: Configure", setting, union("", s.want.misses))}
	}
	return nil
}

// choose says by which means to watch, 0 for none, and whether misses come. By
// keyspace is better, unless Redis then also tells of each write to each key.
func (s *session) choose() (by means, misses bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	space, event := s.seen[sight{byKeyspace, "new"}], s.seen[sight{byKeyevent, "new"}]
	writes := s.seen[sight{byKeyspace, "set"}] || s.seen[sight{byKeyspace, "expire"}]
	switch {
	case space && !s.barred && !(event && writes):
		by = byKeyspace
	case event:
		by = byKeyevent
	}
	return by, s.seen[sight{by, "keymiss"}]
}

// listen subscribes to what is wanted, and ends what was on trial.
func (s *session) listen(ctx context.Context, trial []string) error {
	if s.by == byKeyspace {
		var patterns []string
		for _, prefix := range s.want.prefixes {
			patterns = append(patterns, s.w.channels.space+keyspace.EscapeGlob(prefix)+"*")
		}
		err := s.subscribe(ctx, s.ps.PSubscribe, patterns...)
		if err == nil {
			return s.subscribe(ctx, s.ps.Unsubscribe, trial...)
		}
		s.barred = redisconn.IsReply(err)
		if s.by, s.misses = s.choose(); !s.barred || s.by == 0 {
			return s.notSubscribed(err)
		}
	}
	err := s.subscribe(ctx, s.ps.Subscribe, s.w.channels.keyevents(s.want.misses)...)
	if err != nil || s.want.misses {
		return s.notSubscribed(err)
	}
	return s.subscribe(ctx, s.ps.Unsubscribe, trial[1:]...)
}

// watch goes on until something ends it.
func (s *session) watch(ctx context.Context) error {
	check := time.NewTimer(vary(s.w.pace.check))
	defer check.Stop()
	barrier := time.NewTimer(forever)
	defer barrier.Stop()
	armed := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.w.changed:
			if !s.w.wants(s.want) {
				return nil
			}
			s.w.become(s.want, s.w.Status())
		case a := <-s.answer:
			if err, ok := a.(error); ok {
				return err
			}
			return errInterrupted
		case <-s.w.own.ping:
			if !armed {
				barrier.Reset(barrierEvery)
			}
			armed = true
		case <-barrier.C:
			armed = false
			if payload, wanted := s.w.own.begin(); wanted {
				if err := s.ps.Ping(ctx, payload); err != nil {
					return err
				}
			}
		case <-check.C:
			if err := s.recheck(ctx); err != nil {
				return err
			}
			check.Reset(vary(s.w.pace.check))
		}
	}
}

// recheck says whether the same events come as before.
func (s *session) recheck(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if by, misses := s.choose(); by != s.by || s.want.misses && misses != s.misses {
		return errStopped
	}
	return nil
}

// read hands on what comes, until the connection fails.
func (s *session) read() {
	for {
		got, err := s.ps.Receive(context.Background())
		switch m := got.(type) {
		case *redis.Message:
			s.heard(m)
		case *redis.Pong:
			if !s.w.own.passed(m.Payload) {
				s.tell(m)
			}
		case *redis.Subscription:
			s.tell(m)
		}
		if err != nil {
			s.tell(err)
			if !redisconn.IsReply(err) {
				return
			}
		}
	}
}

// tell never blocks: run takes in all answers, and asks for few at once.
func (s *session) tell(answer any) {
	select {
	case s.answer <- answer:
	default:
	}
}

func (s *session) heard(m *redis.Message) {
	by, event, key := s.w.channels.parse(m.Channel, m.Payload)
	if key == s.probe {
		s.mu.Lock()
		s.seen[sight{by, event}] = true
		s.mu.Unlock()
		return
	}
	kind := kindOf(event)
	if kind == 0 || strings.HasPrefix(key, reserved) || !covered(key, s.want.prefixes) {
		return
	}
	if kind != Missed {
		s.w.queue.put(key, kind)
	} else if s.want.misses {
		s.w.own.missed(key)
	}
}

func (s *session) subscribe(ctx context.Context, how func(context.Context, ...string) error, names ...string) error {
	if err := s.send(ctx, how, names...); err != nil {
		return err
	}
	return s.confirm(ctx, len(names))
}

func (s *session) send(ctx context.Context, how func(context.Context, ...string) error, names ...string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return how(ctx, names...)
}

// confirm awaits that Redis has taken in n channels.
func (s *session) confirm(ctx context.Context, n int) error {
	for range n {
		a, err := s.await(ctx)
		if err != nil {
			return err
		}
		if _, ok := a.(*redis.Subscription); !ok {
			return errInterrupted
		}
	}
	return nil
}

// await is the next answer.
func (s *session) await(ctx context.Context) (any, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errInterrupted)
	defer cancel()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case a := <-s.answer:
		err, _ := a.(error)
		return a, err
	}
}

func isRefused(err error) bool {
	var no refused
	return errors.As(err, &no)
}

// notSubscribed tells a refusal in the words of a condition. It names no keyspace: the
// session may be shared with policies of other namespaces.
func (s *session) notSubscribed(err error) error {
	if err == nil || !redisconn.IsReply(err) {
		return err
	}
	switch status := redisconn.Classify(err); {
	case status.Reason != redisconn.PermissionDenied:
		return refused{Unavailable, status.Message}
	case status.Message != redisconn.ChannelDenied:
		return refused{PermissionDenied, status.Message}
	}
	space, event := s.w.channels.space, s.w.channels.event
	return refused{PermissionDenied, fmt.Sprintf("this Redis user may not subscribe to the channels of key events: give it &%s*, or else &%s%s* and, for each keyspace, &%s, the beginning of its template, and a *", event, space, reserved, space)}
}
