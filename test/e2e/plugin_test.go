// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cachev1alpha1 "github.com/keepfresh/keepfresh/api/v1alpha1"
)

// pluginCommands runs each command once as a user would, against the cluster.
func pluginCommands(ctx context.Context) {
	plug := func(args ...string) string { return run(ctx, plugin, append(args, "--namespace", shopSpace)...) }

	Expect(plug("status", "catalog")).To(And(ContainSubstring("catalog"), ContainSubstring("products"), ContainSubstring("KeepingFresh")))
	Expect(plug("top", "--once")).To(ContainSubstring("catalog"))
	Expect(plug("refresh", "catalog")).To(ContainSubstring("refreshed"))
	Expect(plug("refresh", "catalog", "--keyspace", "pages")).To(ContainSubstring("refreshed"))
	Expect(plug("explain", "catalog", "product:7")).To(And(ContainSubstring("products"), ContainSubstring("http://loader.shop.svc:8080/products/7")))
	Expect(plug("version")).To(ContainSubstring(operatorImage[strings.LastIndex(operatorImage, ":")+1:]))

	plug("suspend", "catalog")
	await(ctx, cachev1alpha1.ConditionReady, metav1.ConditionFalse)
	out, err := try(ctx, plugin, "status", "catalog", "--namespace", shopSpace)
	Expect(err).To(MatchError("exit status 3"), "not Ready")
	Expect(out).To(ContainSubstring(cachev1alpha1.ReasonSuspended))
	plug("resume", "catalog")
	await(ctx, cachev1alpha1.ConditionReady, metav1.ConditionTrue)

	out, err = try(ctx, plugin, "status", "nothing", "--namespace", shopSpace)
	Expect(err).To(HaveOccurred())
	Expect(out).To(ContainSubstring("not found"))
}

// userRoles asks the API server what those may do who have no role but one of
// Kubernetes' own in the shop's namespace.
func userRoles(ctx context.Context) {
	for role, may := range map[string]map[string]bool{
		"view": {"get cachepolicies": true, "list keyexplanations": true, "create cachepolicies": false, "create keyexplanations": false},
		"edit": {"patch cachepolicies": true, "create keyexplanations": true, "patch cachepolicies/status": false},
	} {
		subject := rbacv1.Subject{Kind: rbacv1.UserKind, Name: "e2e-" + role}
		Expect(k8s.Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: shopSpace, Name: subject.Name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{subject},
		})).To(Succeed())
		for what, allowed := range may {
			verb, resource, _ := strings.Cut(what, " ")
			resource, subresource, _ := strings.Cut(resource, "/")
			Eventually(func(g Gomega) {
				review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
					User: subject.Name, ResourceAttributes: &authorizationv1.ResourceAttributes{
						Namespace: shopSpace, Group: cachev1alpha1.GroupVersion.Group, Resource: resource, Subresource: subresource, Verb: verb,
					},
				}}
				g.Expect(k8s.Create(ctx, review)).To(Succeed())
				g.Expect(review.Status.Allowed).To(Equal(allowed), "may a user with role %s %s", role, what)
			}).Should(Succeed())
		}
	}
}
