// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/keepfresh/keepfresh/internal/egress"
)

// To deny policies the API server's addresses:
// +kubebuilder:rbac:groups="",resources=services,resourceNames=kubernetes,verbs=get,namespace=default
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,resourceNames=kubernetes,verbs=get,namespace=default

// behindKubernetes are the addresses of the API server that Pods know, and those behind.
func behindKubernetes(reader client.Reader) egress.Source {
	kubernetes := client.ObjectKey{Namespace: "default", Name: "kubernetes"}
	return egress.Source{What: egress.APIServer, Look: func(ctx context.Context) ([]netip.Addr, error) {
		var service corev1.Service
		var slice discoveryv1.EndpointSlice
		if err := errors.Join(reader.Get(ctx, kubernetes, &service), reader.Get(ctx, kubernetes, &slice)); err != nil {
			return nil, fmt.Errorf("look up the Service default/kubernetes and its EndpointSlice: %w", err)
		}
		texts := service.Spec.ClusterIPs
		for _, e := range slice.Endpoints {
			texts = append(texts, e.Addresses...)
		}
		var found []netip.Addr
		for _, text := range texts {
			if a, err := netip.ParseAddr(text); err == nil {
				found = append(found, a)
			}
		}
		return found, nil
	}}
}
