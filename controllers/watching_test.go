// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/internal/refresher/watch"
)

func TestTheConditionWatching(t *testing.T) {
	scan := "soon enough for an expire of 3.2s or more"
	for sentence, c := range map[string]struct {
		change        func(*situation)
		want, message string
	}{
		"while it is not running":   {suspended, "Unknown Probing", ""},
		"before anything is known":  {func(*situation) {}, "Unknown Probing", ""},
		"while it is found out":     {standing(watch.Probing), "Unknown Probing", ""},
		"with all that is wanted":   {standing(watch.Watching), "True KeyEvents", "as it stands"},
		"without misses":            {standing(watch.MissesNotSent), "False MissesNotSent", "as it stands"},
		"without events":            {standing(watch.EventsNotSent), "False EventsNotSent", scan},
		"without the right to them": {standing(watch.PermissionDenied), "False PermissionDenied", scan},
		"where none are wanted":     {standing(watch.Off), "False EventsOff", scan},
		"while Redis is away":       {standing(watch.Unavailable), "False EventsUnavailable", scan},
	} {
		t.Run(sentence, func(t *testing.T) {
			v := well(c.change).watching()
			if got := string(v.status) + " " + v.reason; got != c.want || !strings.Contains(v.message, c.message) {
				t.Errorf("got %s: %s", got, v.message)
			}
			if strings.Contains(v.message, scan) != (c.message == scan) {
				t.Errorf("the message is %q", v.message)
			}
		})
	}
}

// Each reason that the engine gives is one that the API documents.
func TestReasonsOfWatchingAreDocumented(t *testing.T) {
	for engine, api := range map[watch.Reason]string{
		watch.MissesNotSent: cachev1alpha1.ReasonMissesNotSent, watch.EventsNotSent: cachev1alpha1.ReasonEventsNotSent,
		watch.PermissionDenied: cachev1alpha1.ReasonPermissionDenied, watch.Probing: cachev1alpha1.ReasonProbing,
	} {
		if string(engine) != api {
			t.Errorf("%s is %s in the API", engine, api)
		}
	}
}

func standing(r watch.Reason) func(*situation) {
	return func(s *situation) {
		s.snapshot.Watch = watch.Status{Reason: r, Message: "as it stands"}
		s.snapshot.ShortestExpire = 3215 * time.Millisecond
	}
}
