// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package admissiontest compares the verdicts of package admission with those of
// a real API server.
package admissiontest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/keepfresh/keepfresh/internal/plugin/admission"
)

// Agree has both judge an object that is to be created, and returns nil if they
// agree to the word. It asks the server twice where a field is unknown: one that
// is strict says nothing else then.
func Agree(ctx context.Context, server client.Client, rules *admission.Rules, object *unstructured.Unstructured) error {
	here, failure := rules.Check(ctx, object)
	strict := create(ctx, server, object, metav1.FieldValidationStrict)
	if failure != nil {
		if !apierrors.IsBadRequest(strict) {
			return fmt.Errorf("here it cannot be read (%w), the server says: %w", failure, said(strict))
		}
		return nil
	}
	if err := same("unknown fields", here.Unknown, unknown(strict)); err != nil {
		return err
	}
	lenient := strict
	if len(here.Unknown) > 0 {
		lenient = create(ctx, server, object, metav1.FieldValidationIgnore)
	}
	var invalid []string
	for _, err := range here.Invalid {
		invalid = append(invalid, err.Error())
	}
	theirs, err := causes(lenient)
	if err != nil {
		return err
	}
	return same("invalid", invalid, theirs)
}

func create(ctx context.Context, server client.Client, object *unstructured.Unstructured, validation string) error {
	return client.WithFieldValidation(server, client.FieldValidation(validation)).Create(ctx, object.DeepCopy(), client.DryRunAll)
}

// unknown are the fields that a strict server does not know.
func unknown(err error) (fields []string) {
	if !apierrors.IsBadRequest(err) {
		return nil
	}
	_, list, _ := strings.Cut(err.Error(), "strict decoding error: ")
	for _, one := range strings.Split(list, ", ") {
		if field, ok := strings.CutPrefix(one, `unknown field "`); ok {
			fields = append(fields, strings.TrimSuffix(field, `"`))
		}
	}
	return fields
}

// causes are what a server finds invalid, in the words of a field.Error.
func causes(err error) (list []string, failure error) {
	if err == nil {
		return nil, nil
	}
	var status *apierrors.StatusError
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) {
		return nil, fmt.Errorf("the server gives no verdict: %w", err)
	}
	for _, cause := range status.ErrStatus.Details.Causes {
		list = append(list, cause.Field+": "+cause.Message)
	}
	return list, nil
}

func same(what string, here, there []string) error {
	slices.Sort(here)
	slices.Sort(there)
	if slices.Equal(here, there) {
		return nil
	}
	return fmt.Errorf("%s\nhere:   %s\nserver: %s", what, strings.Join(here, "\n        "), strings.Join(there, "\n        "))
}

func said(err error) error {
	if err == nil {
		return errors.New("it takes it")
	}
	return err
}
