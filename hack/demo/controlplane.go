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

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// operatorUser is whom the operator is to the API server. It is in no group that
// may do anything: what it may do, it may by the roles in config/rbac.
const operatorUser = "keepfresh-demo-operator"

// controlPlane is an API server and its etcd.
type controlPlane struct {
	env    *envtest.Environment
	dir    *workdir
	client client.Client // an administrator's
	logs   []*os.File
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

// startEnv starts the environment. envtest knows no context and tries five
// times, so that an interrupt has to take away what it waits for.
func (p *controlPlane) startEnv(ctx context.Context) error {
	interrupt := context.AfterFunc(ctx, p.dir.killTethered)
	_, err := p.env.Start()
	interrupt()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("the API server and etcd did not start: %w\n%s\n%s", err,
			tail(p.logPath("etcd"), 5), tail(p.logPath("kube-apiserver"), 10))
	}
	return nil
}

func (p *controlPlane) logPath(program string) string {
	return filepath.Join(p.dir.path, program+".log")
}

func (p *controlPlane) stop() error {
	err := p.env.Stop()
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
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: operatorUser}}
	for _, object := range objects {
		meta := metav1.ObjectMeta{Name: operatorUser + "-" + object.GetName(), Namespace: namespace}
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: object.GetKind(), Name: object.GetName()}
		var binding client.Object
		switch {
		case object.GetKind() == "Role":
			object.SetNamespace(namespace)
			binding = &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref}
		case object.GetKind() == "ClusterRole" && strings.Contains(object.GetName(), "manager"):
			meta.Namespace = ""
			binding = &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref}
		default:
			continue // other people's roles, and bindings to a service account that the demo has not
		}
		if err := p.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), fieldOwner, client.ForceOwnership); err != nil {
			return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
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
