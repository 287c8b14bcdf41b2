// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package wake

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestASignalWakesOnceHoweverOftenItWasSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, began := NewSignal(), time.Now()
		s.Set()
		s.Set()
		s.Wait(t.Context(), time.Hour)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("a signal that was set is waited for, for %s", waited)
		}
		s.Wait(t.Context(), time.Minute)
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("waited for %s after the signal was taken, want a minute", waited)
		}
		s.Set()
		s.Clear()
		s.Wait(t.Context(), time.Minute)
		if waited := time.Since(began); waited != 2*time.Minute {
			t.Error("a signal that was cleared wakes")
		}
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		if err := Sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
			t.Errorf("%v after %s, want the context's end after a second", err, time.Since(began))
		}
		if err := Sleep(t.Context(), time.Second); err != nil {
			t.Errorf("a sleep that was not disturbed ended with %v", err)
		}
	})
}
