// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	products = 200
	expire   = 10 * time.Second
	password = "e2e-password"
)

// createNamespace makes a namespace in which only restricted Pods may run, and
// has it gone in the end.
func createNamespace(ctx context.Context, name string) {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name,
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	Expect(k8s.Create(ctx, ns)).To(Succeed(), "the cluster must not have a namespace %s", name)
	DeferCleanup(func(ctx context.Context) {
		Expect(client.IgnoreNotFound(k8s.Delete(ctx, ns))).To(Succeed())
		Eventually(func() bool { return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(ns), ns)) }).Should(BeTrue())
	})
}

// program is one Pod with a Service of its name.
type program struct {
	name, image string
	args        []string
	env         map[string]string
	port        int32
}

func (p program) deploy(ctx context.Context) {
	GinkgoHelper()
	labels := map[string]string{"app": p.name}
	meta := metav1.ObjectMeta{Namespace: shopSpace, Name: p.name}
	container := corev1.Container{
		Name: p.name, Image: p.image, Args: p.args, ImagePullPolicy: corev1.PullIfNotPresent,
		Ports: []corev1.ContainerPort{{ContainerPort: p.port}},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: 1,
			ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(p.port)}}},
		SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
	}
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: p.env[name]})
	}
	Expect(k8s.Create(ctx, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			Containers:                    []corev1.Container{container},
			TerminationGracePeriodSeconds: new(int64(5)),
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(65532)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		}},
	}})).To(Succeed())
	Expect(k8s.Create(ctx, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Selector: labels, Ports: []corev1.ServicePort{{Port: p.port, TargetPort: intstr.FromInt32(p.port)}},
	}})).To(Succeed())
}

// deployShop brings a Redis with a password, a backend and a shop that reads.
func deployShop(ctx context.Context) {
	GinkgoHelper()
	programs := []program{
		{name: "redis", image: redisImage, port: 6379, args: []string{"--requirepass", password, "--save", ""}},
		{name: "loader", image: appImage, port: 8080, args: []string{"loader"}},
		{name: "shop", image: appImage, port: 8080, args: []string{"shop"}, env: map[string]string{
			"REDIS": "redis.shop.svc:6379", "REDIS_PASSWORD": password, "BACKEND": "http://loader.shop.svc:8080",
			"KEYS": strconv.Itoa(products), "EXPIRE": expire.String(),
		}},
	}
	for _, p := range programs {
		p.deploy(ctx)
	}
	Expect(k8s.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: shopSpace, Name: "redis"},
		StringData: map[string]string{"password": password},
	})).To(Succeed())
	for _, p := range programs {
		awaitReady(ctx, shopSpace, p.name)
	}
}

// scale sets a Deployment's replicas, and waits until that many are ready.
func scale(ctx context.Context, name string, replicas int32) {
	GinkgoHelper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: shopSpace, Name: name}}
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	Expect(k8s.Patch(ctx, d, client.RawPatch("application/merge-patch+json", patch))).To(Succeed())
	Eventually(func(g Gomega) {
		g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(d), d)).To(Succeed())
		g.Expect(d.Status.ObservedGeneration).To(Equal(d.Generation))
		g.Expect(d.Status.ReadyReplicas).To(Equal(replicas))
		g.Expect(d.Status.Replicas).To(Equal(replicas))
	}).Should(Succeed())
}

func awaitReady(ctx context.Context, ns, name string) {
	GinkgoHelper()
	d := &appsv1.Deployment{}
	Eventually(func(g Gomega) {
		g.Expect(k8s.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, d)).To(Succeed())
		g.Expect(d.Status.ReadyReplicas).To(Equal(*d.Spec.Replicas))
	}).Should(Succeed(), "Deployment %s/%s", ns, name)
}

type shopStats struct{ Reads, Misses, Errors int }

type loaderStats struct{ Calls, Doubled int }

// stats asks the one Pod of a program through the API server.
func stats[T any](ctx context.Context, name string) (found T) {
	GinkgoHelper()
	ask(ctx, name, "stats", nil, &found)
	return found
}

// redisKeys are the keys in Redis that match a pattern.
func redisKeys(ctx context.Context, pattern string) (found []string) {
	GinkgoHelper()
	ask(ctx, "shop", "keys", map[string]string{"match": pattern}, &found)
	return found
}

func ask(ctx context.Context, service, path string, params map[string]string, into any) {
	GinkgoHelper()
	body, err := clientset.CoreV1().Services(shopSpace).ProxyGet("http", service, "8080", path, params).DoRaw(ctx)
	Expect(err).NotTo(HaveOccurred(), "%s of %s: %s", path, service, body)
	Expect(json.Unmarshal(body, into)).To(Succeed())
}

// run runs a program as a user would, and shows what it printed.
func run(ctx context.Context, name string, args ...string) string {
	GinkgoHelper()
	out, err := try(ctx, name, args...)
	Expect(err).NotTo(HaveOccurred(), out)
	return out
}

func try(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	out, err := cmd.CombinedOutput()
	GinkgoWriter.Printf("$ %s\n%s\n", cmd, out)
	return string(out), err
}
