// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// log keeps what is written to it, from several goroutines.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps p.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all that was written.
func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// background runs the plugin until ctx ends. All that it says, and its exit code
// in the end, is in the log.
func (w *world) background(ctx context.Context, t *testing.T, args ...string) *log {
	t.Helper()
	out := &log{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		code := Run(ctx, append(args, "--kubeconfig", w.kubeconfig, "-n", shop), genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: out, ErrOut: out})
		_, _ = fmt.Fprintln(out, "exit", code)
	}()
	t.Cleanup(func() { <-ended })
	return out
}
