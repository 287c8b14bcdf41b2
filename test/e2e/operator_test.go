// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// install installs or upgrades the release with an image, as a user would, and
// waits until its Pods are ready, and those of before are gone.
func install(ctx context.Context, verb, chart, image string, more ...string) {
	GinkgoHelper()
	repository, tag, _ := cutLast(image, ":")
	args := append([]string{verb, release, chart, "--namespace", namespace, "--wait", "--timeout", "3m",
		"--set", "image.repository=" + repository, "--set", "image.tag=" + tag}, more...)
	run(ctx, helmProgram, args...)
	Eventually(func(g Gomega) {
		list := &corev1.PodList{}
		g.Expect(k8s.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{"app.kubernetes.io/component": "operator"})).To(Succeed())
		g.Expect(list.Items).To(HaveLen(2))
	}).Should(Succeed())
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// operators are the release's Pods that run.
func operators(ctx context.Context) []corev1.Pod {
	GinkgoHelper()
	list := &corev1.PodList{}
	Expect(k8s.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{"app.kubernetes.io/component": "operator"})).To(Succeed())
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodRunning
	})
}

// leader is the Pod that writes status.
func leader(ctx context.Context) string {
	GinkgoHelper()
	var name string
	Eventually(func(g Gomega) {
		lease := &coordinationv1.Lease{}
		g.Expect(k8s.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "keepfresh.cache.keepfresh.dev"}, lease)).To(Succeed())
		g.Expect(lease.Spec.HolderIdentity).To(HaveValue(Not(BeEmpty())))
		name, _, _ = strings.Cut(*lease.Spec.HolderIdentity, "_")
		g.Expect(slices.ContainsFunc(operators(ctx), func(p corev1.Pod) bool { return p.Name == name })).
			To(BeTrue(), "the holder %s is no Pod that runs", name)
	}).Should(Succeed())
	return name
}

// kill ends a Pod without a chance to say goodbye.
func kill(ctx context.Context, name string) {
	GinkgoHelper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	Expect(k8s.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
}

// collector follows the logs of all Pods that there ever are in a namespace.
type collector struct {
	stop func()
	mu   sync.Mutex
	text strings.Builder
}

func collect(clientset kubernetes.Interface, ns string) *collector {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	c := &collector{stop: func() { cancel(); running.Wait() }}
	followed := map[types.UID]bool{}
	running.Go(func() {
		for ctx.Err() == nil {
			pods, err := clientset.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
			for i := range pods.Items {
				pod := &pods.Items[i]
				if err == nil && !followed[pod.UID] && pod.Status.Phase != corev1.PodPending {
					followed[pod.UID] = true
					running.Go(func() { c.follow(ctx, clientset, pod) })
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	return c
}

func (c *collector) follow(ctx context.Context, clientset kubernetes.Interface, pod *corev1.Pod) {
	stream, err := clientset.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		c.add(pod.Name, fmt.Sprintf("(its log cannot be read: %v)", err))
		return
	}
	defer func() { _ = stream.Close() }()
	for lines := bufio.NewScanner(stream); lines.Scan(); {
		c.add(pod.Name, lines.Text())
	}
}

func (c *collector) add(pod, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(&c.text, "%s: %s\n", pod, line)
}

func (c *collector) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// lines are those that contain a word, in any case.
func (c *collector) lines(word string) []string {
	return slices.DeleteFunc(strings.Split(c.String(), "\n"), func(line string) bool {
		return !strings.Contains(strings.ToLower(line), word)
	})
}
