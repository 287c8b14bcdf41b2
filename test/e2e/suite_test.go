// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e installs the chart on a real cluster as a user would, and looks
// at what an application and its operators see. hack/e2e.sh (make e2e) brings
// the cluster, the images and the programs.
package e2e

import (
	"context"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

const (
	release   = "keepfresh"
	namespace = "keepfresh-system"
	shopSpace = "shop"
)

// What hack/e2e.sh prepared. Images are references that the cluster can pull,
// or has.
var (
	operatorImage = os.Getenv("E2E_OPERATOR_IMAGE")
	previousImage = os.Getenv("E2E_PREVIOUS_IMAGE")
	appImage      = os.Getenv("E2E_APP_IMAGE")
	redisImage    = os.Getenv("E2E_REDIS_IMAGE")
	chart         = os.Getenv("E2E_CHART")
	previousChart = os.Getenv("E2E_PREVIOUS_CHART")
	helmProgram   = os.Getenv("E2E_HELM")
	plugin        = os.Getenv("E2E_PLUGIN")
)

var (
	config    *rest.Config
	k8s       client.Client
	clientset *kubernetes.Clientset
	logs      *collector
)

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Keepfresh on a cluster")
}

var _ = BeforeSuite(func(ctx context.Context) {
	for name, value := range map[string]string{
		"E2E_OPERATOR_IMAGE": operatorImage, "E2E_PREVIOUS_IMAGE": previousImage, "E2E_APP_IMAGE": appImage, "E2E_REDIS_IMAGE": redisImage,
		"E2E_CHART": chart, "E2E_PREVIOUS_CHART": previousChart, "E2E_HELM": helmProgram, "E2E_PLUGIN": plugin, "KUBECONFIG": os.Getenv("KUBECONFIG"),
	} {
		Expect(value).NotTo(BeEmpty(), "%s is not set: run make e2e", name)
	}
	log.SetLogger(GinkgoLogr)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(250 * time.Millisecond)

	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(cachev1alpha1.AddToScheme(scheme))
	var err error
	config, err = ctrl.GetConfig()
	Expect(err).NotTo(HaveOccurred())
	config.QPS = -1
	k8s, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	clientset, err = kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())

	for _, name := range []string{namespace, shopSpace} {
		createNamespace(ctx, name)
	}
	logs = collect(clientset, namespace)
	DeferCleanup(logs.stop)
})

var _ = ReportAfterEach(func(report SpecReport) {
	if report.Failed() {
		GinkgoWriter.Println(logs.String())
	}
})
