// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package redisconn

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// discreet takes out of errors what a server that does not know a command says
// of its arguments: a key, a value or, if the command is AUTH, the password.
//
//	ERR unknown command 'auth', with args beginning with: 'hunter2'
//
// Nor does the password get out if a server tells it in another way.
type discreet struct{ password Secret }

// shortest is how long a password must be to be looked for: a shorter one would
// be found in words that have nothing to do with it.
const shortest = 4

// refusal is an error reply.
type refusal string

func (r refusal) Error() string { return string(r) }

// RedisError makes it a redis.Error.
func (refusal) RedisError() {}

// hidden is an error that tells less than its cause.
type hidden struct {
	text  string
	cause error
}

func (h hidden) Error() string { return h.text }
func (h hidden) Unwrap() error { return h.cause }

func (d discreet) discreetly(err error) error {
	if err == nil {
		return nil
	}
	_, answered := Reply(err)
	if text := err.Error(); len(d.password) >= shortest && strings.Contains(text, string(d.password)) {
		text = strings.ReplaceAll(text, string(d.password), d.password.String())
		if !answered {
			return hidden{text, err}
		}
		err = refusal(text)
	}
	if !answered {
		return err
	}
	if text, _, found := strings.Cut(err.Error(), ", with args beginning with"); found {
		text = text[max(0, strings.Index(text, "ERR ")):] // without what go-redis was doing
		return refusal(text)
	}
	return err
}

func (discreet) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d discreet) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := d.discreetly(next(ctx, cmd))
		if err != nil {
			cmd.SetErr(err)
		}
		return err
	}
}

func (d discreet) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err == nil {
			return nil
		}
		for _, cmd := range cmds {
			if cmd.Err() != nil {
				cmd.SetErr(d.discreetly(cmd.Err()))
			}
		}
		return d.discreetly(err)
	}
}
