// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo shows Keepfresh at work on one machine, and checks that it is:
// make demo runs it.
//
//	readers ──GET──► redis-server ◄──refresh── keepfresh ──watch──► kube-apiserver ──► etcd
//	   │ on a miss                                │
//	   └──────────────► catalog service ◄──load───┘
//
// Everything is real but the application: the operator is the program that one
// would deploy, with no more rights than config/rbac grants, and the policies
// are those of config/samples. Nobody but the operator refreshes the keys that
// the application put into Redis, so that if it did not, its readers would miss.
//
// It promises to leave nothing running, however it ends, and to exit with 0
// only if every policy is Ready and Fresh and no reader missed once all keys
// had been filled.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// exitInterrupted is what a shell reports of a program that Ctrl-C ended.
const exitInterrupted = 130

func main() {
	if len(os.Args) > 1 && os.Args[1] == tetherCommand {
		fmt.Fprintln(os.Stderr, "demo:", tether(os.Args[2:])) // returns only if it fails
		os.Exit(1)
	}
	os.Exit(run())
}

func run() int {
	// SIGPIPE ends it too: with make demo | head there is nobody left to show it to.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()

	cfg, err := configFromEnv()
	if err != nil {
		return fail(err)
	}
	d := &demo{config: cfg}
	defer func() { _ = d.stop() }()
	if err := d.start(ctx); err != nil {
		if ctx.Err() != nil {
			fmt.Println("\nInterrupted before it had started.")
			return exitInterrupted
		}
		return fail(err)
	}
	d.watch(ctx)

	result := d.finish()
	if result.firstFill.IsZero() && ctx.Err() != nil {
		fmt.Println("\nInterrupted before every policy was Ready.")
		return exitInterrupted
	}
	fmt.Print(result.summary())
	if failed := result.failures(); len(failed) > 0 {
		fmt.Println()
		for _, sentence := range failed {
			fmt.Println("FAILED:", sentence)
		}
		return 1
	}
	fmt.Println("\nEverything was kept fresh.")
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "\nThe demo failed:", err)
	return 1
}

// config is what the environment says.
type config struct {
	assets   string        // folder with kube-apiserver, etcd and perhaps kubectl
	redis    string        // path of redis-server
	operator string        // path of the operator
	duration time.Duration // 0: until it is interrupted
}

func configFromEnv() (config, error) {
	c := config{assets: os.Getenv("KUBEBUILDER_ASSETS"), redis: os.Getenv("REDIS_SERVER"), operator: os.Getenv("KEEPFRESH_BIN")}
	if c.assets == "" {
		return c, errors.New("KUBEBUILDER_ASSETS does not say which folder has kube-apiserver and etcd; make demo gets them")
	}
	if c.operator == "" {
		return c, errors.New("KEEPFRESH_BIN does not say where the operator is; make demo builds it")
	}
	if s := os.Getenv("DEMO_SECONDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return c, fmt.Errorf("DEMO_SECONDS is %q; it takes a whole number of seconds, such as 60", s)
		}
		c.duration = time.Duration(n) * time.Second
	}
	return c, nil
}

// sentence prints an error as a sentence.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}
