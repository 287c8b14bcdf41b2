// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"fmt"
	"strings"

	"github.com/keepfresh/keepfresh/internal/refresher/redisconn"
)

const setting = "notify-keyspace-events"

// configure has Redis publish what is wanted: new keys (n), misses too (m) if
// those are wanted, and, if there is neither K nor E, by keyspace (K). Flags that
// are set stay so. Deletions and expirations it does not ask for: for deletions
// (g) Redis would publish each SET with a lifetime as well.
func (s *session) configure(ctx context.Context) error {
	got, err := s.w.rdb.ConfigGet(ctx, setting).Result()
	if err != nil {
		return s.notConfigured(err)
	}
	was := got[setting]
	want := union(was, s.want.misses)
	if err := s.w.rdb.ConfigSet(ctx, setting, want).Err(); err != nil {
		return s.notConfigured(err)
	}
	s.w.log.Info("Redis was told to publish key events", "setting", setting, "before", was, "now", want)
	return nil
}

// union adds flags to those that CONFIG GET tells. It does not tell n where A is
// set, so n is added even if it may be there.
func union(flags string, misses bool) string {
	if !strings.ContainsAny(flags, "KE") {
		flags += "K"
	}
	if !strings.Contains(flags, "n") {
		flags += "n"
	}
	if misses && !strings.Contains(flags, "m") {
		flags += "m"
	}
	return flags
}

func (s *session) notConfigured(err error) error {
	status := redisconn.Classify(err)
	if !redisconn.IsReply(err) {
		return err
	}
	if status.Reason != redisconn.PermissionDenied && status.Reason != redisconn.VersionUnsupported {
		return refused{Unavailable, status.Message}
	}
	return refused{PermissionDenied, fmt.Sprintf(
		"this Redis sends no events of new keys, and does not let this user set %s by CONFIG: allow it (+config|get +config|set), or set it there to %s or more", setting, union("", s.want.misses))}
}
