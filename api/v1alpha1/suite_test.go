// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/keepfresh/keepfresh/api/v1alpha1"
	"github.com/keepfresh/keepfresh/config/crd"
	"github.com/keepfresh/keepfresh/internal/plugin/admission"
	"github.com/keepfresh/keepfresh/internal/plugin/admission/admissiontest"
)

// The suite asks a real API server, one for all specs, which has the generated
// CRD.
var (
	config *rest.Config
	k8s    client.Client
	lint   *admission.Rules // the same without a server
)

func TestAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "CachePolicy on the API server")
}

var _ = BeforeSuite(func() {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		Fail("KUBEBUILDER_ASSETS is not set: run `make test`, or set it to the directory of " +
			"kube-apiserver and etcd that `make envtest` fills (bin/envtest).")
	}
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	var err error
	config, err = environment.Start()
	Expect(err).NotTo(HaveOccurred(), "the control plane could not be started")
	DeferCleanup(environment.Stop)

	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(apiextensionsv1.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	k8s, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	lint, err = admission.Load(crd.Bases, "bases/*.yaml")
	Expect(err).NotTo(HaveOccurred())
})

// dryRun asks the API server whether it would take the object, and fills in the
// defaults if so. Fields that the schema does not know are refused. What kubectl
// cachepolicy lint says of a manifest has to be the same.
func dryRun(ctx context.Context, object client.Object) error {
	GinkgoHelper()
	if manifest, ok := object.(*unstructured.Unstructured); ok && lint.Knows(manifest.GroupVersionKind()) {
		Expect(admissiontest.Agree(ctx, k8s, lint, manifest)).To(Succeed())
	}
	return client.WithFieldValidation(k8s, "Strict").Create(ctx, object, client.DryRunAll)
}
