// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strings"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// whoMay is controller-runtime's filter, but for a token that the API server does not
// know: to that it answers 500, as though the API server could not be asked. Here it is
// 401, which is what a scraper's operator can act on.
func whoMay(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
	inner, err := filters.WithAuthenticationAndAuthorization(config, httpClient)
	if err != nil {
		return nil, err
	}
	client, err := authenticationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, err
	}
	return func(log logr.Logger, handler http.Handler) (http.Handler, error) {
		guarded, err := inner(log, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handler.ServeHTTP(w.(*undecided).ResponseWriter, r)
		}))
		if err != nil {
			return nil, err
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u := &undecided{ResponseWriter: w}
			guarded.ServeHTTP(u, r)
			switch {
			case !u.failed:
			case unknownToken(r, client.TokenReviews()):
				http.Error(w, "Unauthorized", http.StatusUnauthorized)
			default:
				http.Error(w, "The API server could not be asked who may see metrics", http.StatusInternalServerError)
			}
		}), nil
	}, nil
}

// undecided holds back the filter's own 500, until it is known what that means.
type undecided struct {
	http.ResponseWriter
	failed bool
}

// WriteHeader holds back a 500.
func (u *undecided) WriteHeader(code int) {
	if u.failed = code == http.StatusInternalServerError; !u.failed {
		u.ResponseWriter.WriteHeader(code)
	}
}

// Write drops the body of a 500.
func (u *undecided) Write(b []byte) (int, error) {
	if u.failed {
		return len(b), nil
	}
	return u.ResponseWriter.Write(b)
}

// unknownToken says that the API server was asked about a request's token, and does
// not know it.
func unknownToken(r *http.Request, reviews authenticationclient.TokenReviewInterface) bool {
	words := strings.Fields(r.Header.Get("Authorization"))
	if len(words) < 2 || !strings.EqualFold(words[0], "bearer") {
		return false // the filter has taken a good token away; what failed came after
	}
	review, err := reviews.Create(r.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: words[1]},
	}, metav1.CreateOptions{})
	return err == nil && !review.Status.Authenticated
}
