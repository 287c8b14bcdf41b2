// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// operatorUser is whom the operator is to the API server. It is in no group that
// may do anything: what it may do, it may by the roles in config/rbac.
const operatorUser = "keepfresh-demo-operator"

// operatorRoles is how the names begin of the roles that the operator has.
const operatorRoles = "keepfresh-manager"

// controlPlane is an API server and its etcd.
type controlPlane struct {
	env    *envtest.Environment
	dir    *workdir
	client client.Client // an administrator's
	logs   []*os.File

	abandoned bool // env was interrupted as it started, and what it started was killed
}

// startControlPlane starts both, with the CRDs. What it returns is to be stopped
// even if there is an error.
func startControlPlane(ctx context.Context, dir *workdir, assets string) (*controlPlane, error) {
	p := &controlPlane{dir: dir, env: &envtest.Environment{
		CRDDirectoryPaths:        []string{crdFolder},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: time.Minute,
		ControlPlaneStopTimeout:  10 * time.Second,
	}}
	server := p.env.ControlPlane.GetAPIServer()
	p.env.ControlPlane.Etcd = &envtest.Etcd{}
	etcd := p.env.ControlPlane.Etcd
	for program, at := range map[string]*string{"kube-apiserver": &server.Path, "etcd": &etcd.Path} {
		path := filepath.Join(assets, program)
		if err := executable(path, "make envtest gets it"); err != nil {
			return p, err
		}
		var err error
		if *at, err = dir.wrap(path); err != nil {
			return p, err
		}
	}
	for name, out := range map[string]func(*os.File){
		"kube-apiserver": func(f *os.File) { server.Out, server.Err = f, f },
		"etcd":           func(f *os.File) { etcd.Out, etcd.Err = f, f },
	} {
		log, err := os.Create(p.logPath(name))
		if err != nil {
			return p, err
		}
		p.logs = append(p.logs, log)
		out(log)
	}
	if err := p.startEnv(ctx); err != nil {
		return p, err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return p, err
	}
	if err := cachev1alpha1.AddToScheme(scheme); err != nil {
		return p, err
	}
	var err error
	p.client, err = client.New(p.env.Config, client.Options{Scheme: scheme})
	return p, err
}

// startEnv starts the environment. envtest knows no context and is patient, so
// that an interrupt takes away what it waits for, and leaves it behind.
func (p *controlPlane) startEnv(ctx context.Context) error {
	started := make(chan error, 1)
	go func() {
		_, err := p.env.Start()
		started <- err
	}()
	select {
	case <-ctx.Done():
		p.abandoned = true
		p.dir.killTethered()
		return ctx.Err()
	case err := <-started:
		switch {
		case err == nil:
			return nil
		case p.env.Config != nil: // they run, and refused something
			return err
		}
		return fmt.Errorf("the API server and etcd did not start: %w\nThe end of etcd's log:\n%s\nThe end of kube-apiserver's log:\n%s",
			err, tail(p.logPath("etcd"), 5), tail(p.logPath("kube-apiserver"), 10))
	}
}

func (p *controlPlane) logPath(program string) string {
	return filepath.Join(p.dir.path, program+".log")
}

func (p *controlPlane) stop() (err error) {
	if !p.abandoned {
		err = p.env.Stop()
	}
	for _, log := range p.logs {
		_ = log.Close()
	}
	return err
}

// addOperator makes the operator's user, gives it the roles in config/rbac, and
// writes its kubeconfig to path.
func (p *controlPlane) addOperator(ctx context.Context, path string) error {
	objects, err := readManifests(rbacFolder)
	if err != nil {
		return err
	}
	for _, object := range objects {
		binding := bind(object)
		if binding == nil {
			continue
		}
		if ns := object.GetNamespace(); ns != "" {
			if err := p.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}); err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("make the namespace %s: %w", ns, err)
			}
		}
		if err := apply(ctx, p.client, []*unstructured.Unstructured{object}); err != nil {
			return err
		}
		if err := p.client.Create(ctx, binding); err != nil {
			return fmt.Errorf("bind %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	user, err := p.env.AddUser(envtest.User{Name: operatorUser}, nil)
	if err != nil {
		return err
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return err
	}
	return os.WriteFile(path, kubeconfig, 0o600)
}

// bind returns what gives the operator's user a role, or nil for other objects:
// roles for people, and bindings to the service account of a deployment.
func bind(role *unstructured.Unstructured) client.Object {
	meta := metav1.ObjectMeta{Name: operatorUser + "-" + role.GetName(), Namespace: role.GetNamespace()}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: role.GetKind(), Name: role.GetName()}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: operatorUser}}
	switch {
	case !strings.HasPrefix(role.GetName(), operatorRoles):
		return nil
	case role.GetKind() == "Role":
		return &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref}
	case role.GetKind() == "ClusterRole":
		return &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref}
	}
	return nil
}
