// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/keepfresh/keepfresh/internal/redistest"
)

// demo is a running demo. Its start and watch are called in turn, and stop
// always, whatever became of them.
type demo struct {
	config  config
	samples *samples
	dir     *workdir
	plane   *controlPlane
	catalog *catalog
	app     *application

	operator    *operator
	operatorLog string // beside this program, so that they outlive the workdir
	kubeconfig  string

	cleanups []cleanup
	outcome  result
	atFill   tally
}

// cleanup stops a thing that was started.
type cleanup struct {
	what string
	stop func() error
}

func (d *demo) defers(what string, stop func() error) {
	d.cleanups = append(d.cleanups, cleanup{what, stop})
}

// step does one part of the start, and says how long it took.
func step(ctx context.Context, what string, do func() error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fmt.Printf("%-72s", what+" ...")
	begin := time.Now()
	if err := do(); err != nil {
		if ctx.Err() != nil {
			fmt.Println(" interrupted")
			return ctx.Err()
		}
		fmt.Println(" failed")
		return err
	}
	fmt.Printf("%6s\n", seconds(time.Since(begin)))
	return nil
}

func (d *demo) start(ctx context.Context) error {
	// What they would say is in the errors, too.
	ctrllog.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	redis.SetLogger(&logging.VoidLogger{})

	if err := d.prepare(); err != nil {
		return err
	}
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"Starting the catalog service on " + d.samples.catalog + " (backend: some 50 ms)", d.startCatalog},
		{"Starting redis-server on " + d.samples.redis, d.startRedis},
		{"Starting kube-apiserver and etcd, with the CRD of " + crdFolder, d.startControlPlane},
		{"Granting the operator's user the roles of " + rbacFolder, d.addOperator},
		{fmt.Sprintf("Putting %d keys into Redis, as an application would", len(d.samples.existing)), d.seed},
		{"Starting the operator", d.startOperator},
		{"Applying " + samplesFolder, func(ctx context.Context) error { return apply(ctx, d.plane.client, d.samples.objects) }},
	}
	for _, s := range steps {
		if err := step(ctx, s.what, func() error { return s.do(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// prepare does what needs no time, and fails early.
func (d *demo) prepare() (err error) {
	if d.samples, err = readSamples(); err != nil {
		return err
	}
	for path, remedy := range map[string]string{
		d.config.operator: "make build makes it",
		filepath.Join(d.config.assets, "kube-apiserver"): "make envtest gets it",
		filepath.Join(d.config.assets, "etcd"):           "make envtest gets it",
	} {
		if err := executable(path, remedy); err != nil {
			return err
		}
	}
	if d.config.redis != "" {
		if err := executable(d.config.redis, "correct REDIS_SERVER, or leave it out"); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	d.kubeconfig, d.operatorLog = self+".kubeconfig", self+"-operator.log"

	if d.dir, err = newWorkdir(os.TempDir()); err != nil {
		return err
	}
	d.defers("the temporary folder", func() error { d.dir.remove(); return nil })
	// envtest, too, keeps its files in there then.
	return os.Setenv("TMPDIR", d.dir.path)
}

func (d *demo) startCatalog(context.Context) error {
	d.catalog = &catalog{routes: d.samples.routes}
	d.defers("the catalog service", func() error { d.catalog.stop(); return nil })
	return d.catalog.serve(d.samples.catalog)
}

func (d *demo) startRedis(ctx context.Context) error {
	// redis-server would say so too, but only in its log.
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.samples.redis)
	if err != nil {
		return portError(d.samples.redis, err)
	}
	_ = l.Close()
	program, err := findRedis(d.config.redis)
	if err != nil {
		return err
	}
	script, err := d.dir.wrap(program)
	if err != nil {
		return err
	}
	if err := os.Setenv("REDIS_SERVER", script); err != nil {
		return err
	}
	var args []string
	if d.samples.password != "" {
		args = []string{"--requirepass", d.samples.password}
	}
	server, err := redistest.Run(d.samples.redis, d.dir.path, args...)
	if err != nil {
		return err
	}
	d.defers("Redis", func() error { server.Stop(); return nil })
	d.app = &application{catalog: d.catalog, existing: d.samples.existing, kept: d.samples.kept,
		redis: redis.NewClient(&redis.Options{Addr: d.samples.redis, Password: d.samples.password, DB: d.samples.database})}
	d.defers("the readers", func() error { d.app.close(); return nil })
	return d.app.redis.Ping(ctx).Err()
}

func (d *demo) startControlPlane(ctx context.Context) (err error) {
	d.plane, err = startControlPlane(ctx, d.dir, d.config.assets)
	d.defers("kube-apiserver and etcd", d.plane.stop)
	return err
}

func (d *demo) addOperator(ctx context.Context) error {
	d.defers("the kubeconfig", func() error { return os.Remove(d.kubeconfig) })
	if err := os.WriteFile(d.kubeconfig, d.plane.env.KubeConfig, 0o600); err != nil {
		return err
	}
	return d.plane.addOperator(ctx, d.operatorKubeconfig())
}

func (d *demo) operatorKubeconfig() string { return filepath.Join(d.dir.path, "operator.kubeconfig") }

func (d *demo) seed(ctx context.Context) error { return d.app.seed(ctx) }

func (d *demo) startOperator(ctx context.Context) error {
	script, err := d.dir.wrap(d.config.operator)
	if err != nil {
		return err
	}
	d.operator, err = startOperator(ctx, script, d.operatorKubeconfig(), d.operatorLog)
	if d.operator != nil {
		d.defers("the operator", d.operator.stop)
	}
	return err
}

// stop stops everything, in the reverse order of its start. It may be called
// again.
func (d *demo) stop() error {
	var errs []error
	for len(d.cleanups) > 0 {
		last := d.cleanups[len(d.cleanups)-1]
		d.cleanups = d.cleanups[:len(d.cleanups)-1]
		if err := last.stop(); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", last.what, err))
		}
	}
	return errors.Join(errs...)
}
