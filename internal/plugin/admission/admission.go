// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

// Package admission judges objects as an API server would that has Keepfresh's
// CRDs, but needs none: it runs the API server's own code on the same schema, in
// the same order, and so comes to the same verdict in the same words.
//
//	unknown fields ──► defaults ──► metadata ──► schema ──► lists ──► CEL
//
// What depends on a cluster is left out: quotas, webhooks, admission policies,
// and whether the name is taken.
package admission

import (
	"context"
	"fmt"
	"io/fs"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kinds "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Rules are those of all kinds in a set of CRDs.
type Rules struct {
	kinds map[kinds.GroupVersionKind]*rules
}

// rules are those of one version of a kind.
type rules struct {
	namespaced bool
	structural *schema.Structural
	schema     validation.SchemaValidator
	cel        *cel.Validator
}

// Load reads the CRDs that match a pattern.
func Load(files fs.FS, pattern string) (*Rules, error) {
	paths, err := fs.Glob(files, pattern)
	if err != nil {
		return nil, err
	}
	r := &Rules{map[kinds.GroupVersionKind]*rules{}}
	for _, path := range paths {
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, version := range crd.Spec.Versions {
			one, err := compile(&crd, version)
			if err != nil {
				return nil, fmt.Errorf("%s: version %s: %w", path, version.Name, err)
			}
			r.kinds[kinds.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}] = one
		}
	}
	return r, nil
}

func compile(crd *apiextensionsv1.CustomResourceDefinition, version apiextensionsv1.CustomResourceDefinitionVersion) (*rules, error) {
	var internal apiextensions.CustomResourceValidation
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(version.Schema, &internal, nil); err != nil {
		return nil, err
	}
	structural, err := schema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	structural = structural.DeepCopy() // its defaults are still the CRD's
	if err := defaulting.PruneDefaults(structural); err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	return &rules{
		namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
		structural: structural,
		schema:     validator,
		cel:        cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

// Knows says whether there are rules for a kind.
func (r *Rules) Knows(kind kinds.GroupVersionKind) bool { return r.kinds[kind] != nil }

// KnowsGroup says whether there are rules for some kind of a group.
func (r *Rules) KnowsGroup(group string) bool {
	for kind := range r.kinds {
		if kind.Group == group {
			return true
		}
	}
	return false
}

// Verdict is what an API server would say to an object.
type Verdict struct {
	// Unknown are the paths of fields that the schema does not have. Asked for
	// strict validation, as kubectl does, an API server says no more than these.
	Unknown []string
	// Invalid is all else that is wrong.
	Invalid field.ErrorList
	// Object is the object with its defaults, and without unknown fields.
	Object *unstructured.Unstructured
}

// Check judges an object that is to be created, whose kind has to be known. An
// error means that it cannot even be read as an object.
func (r *Rules) Check(ctx context.Context, object *unstructured.Unstructured) (Verdict, error) {
	rules := r.kinds[object.GroupVersionKind()]
	v := Verdict{Object: object.DeepCopy()}
	if err := v.decode(rules); err != nil {
		return v, err
	}
	defaulting.Default(v.Object.Object, rules.structural)
	delete(v.Object.Object, "status") // nobody can create one
	v.Invalid = rules.validate(ctx, v.Object)
	return v, nil
}

// decode does what the API server does while it reads an object.
func (v *Verdict) decode(rules *rules) error {
	o := v.Object
	apiVersion, kind := o.GetAPIVersion(), o.GetKind()
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(o.Object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return err
	}
	v.Unknown = append(v.Unknown, unknown...)
	v.Unknown = append(v.Unknown, pruning.PruneWithOptions(o.Object, rules.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	defaulting.PruneNonNullableNullsWithoutDefaults(o.Object, rules.structural)
	invalid, unknown := objectmeta.CoerceWithOptions(nil, o.Object, rules.structural, false, objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	if invalid != nil {
		return invalid
	}
	v.Unknown = append(v.Unknown, unknown...)
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	if !found {
		meta = &metav1.ObjectMeta{}
	}
	return objectmeta.SetObjectMeta(o.Object, meta)
}

// validate does what the API server does before it stores a new object.
func (r *rules) validate(ctx context.Context, o *unstructured.Unstructured) field.ErrorList {
	invalid := r.metadata(o)
	invalid = append(invalid, validation.ValidateCustomResource(nil, o.Object, r.schema)...)
	invalid = append(invalid, objectmeta.Validate(ctx, nil, o.Object, r.structural, false)...)
	invalid = append(invalid, listtype.ValidateListSetsAndMaps(nil, r.structural, o.Object)...)
	if r.cel == nil {
		return invalid
	}
	if blocks(invalid) {
		return append(invalid, field.Invalid(nil, nil, "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"))
	}
	broken, _ := r.cel.Validate(ctx, nil, r.structural, o.Object, nil, celconfig.RuntimeCELCostBudget)
	return append(invalid, broken...)
}

// metadata validates an object's metadata, with what a request for its creation
// would add: the namespace, and a generated name.
func (r *rules) metadata(o *unstructured.Unstructured) field.ErrorList {
	complete := o.DeepCopy()
	if r.namespaced && complete.GetNamespace() == "" {
		complete.SetNamespace(metav1.NamespaceDefault)
	}
	if complete.GetName() == "" && complete.GetGenerateName() != "" {
		complete.SetName(complete.GetGenerateName() + "x")
	}
	return metavalidation.ValidateObjectMetaAccessor(complete, r.namespaced, metavalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
}

// blocks says whether something is so wrong that no CEL rule can be asked. The
// API server draws the line by the kind of error, too.
func blocks(invalid field.ErrorList) bool {
	for _, err := range invalid {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		}
	}
	return false
}
