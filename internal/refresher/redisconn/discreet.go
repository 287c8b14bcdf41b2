// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package redisconn

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// discreet takes out of errors what a server that does not know a command says
// of its arguments: a key, a value or, if the command is AUTH, the password.
//
//	ERR unknown command 'auth', with args beginning with: 'hunter2'
type discreet struct{}

// refusal is an error reply.
type refusal string

func (r refusal) Error() string { return string(r) }

// RedisError makes it a redis.Error.
func (refusal) RedisError() {}

func discreetly(err error) error {
	var reply redis.Error
	if err == nil || !errors.As(err, &reply) {
		return err
	}
	if text, _, found := strings.Cut(err.Error(), ", with args beginning with"); found {
		text = text[max(0, strings.Index(text, "ERR ")):] // without what go-redis was doing
		return refusal(text)
	}
	return err
}

func (discreet) DialHook(next redis.DialHook) redis.DialHook { return next }

func (discreet) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if clean := discreetly(err); clean != err {
			cmd.SetErr(clean)
			return clean
		}
		return err
	}
}

func (discreet) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err == nil {
			return nil
		}
		for _, cmd := range cmds {
			if clean := discreetly(cmd.Err()); clean != cmd.Err() {
				cmd.SetErr(clean)
			}
		}
		return discreetly(err)
	}
}
