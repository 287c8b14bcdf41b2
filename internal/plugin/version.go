// Copyright 2026 The Keepfresh Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/keepfresh/keepfresh/config/crd"
	"github.com/keepfresh/keepfresh/internal/version"
)

const (
	// operatorSelector finds the operator's Pods, as the chart labels them.
	operatorSelector = "app.kubernetes.io/name=keepfresh,app.kubernetes.io/component=operator"
	// partOf is the label of all that the chart installs.
	partOf = "app.kubernetes.io/part-of"

	crdName = "cachepolicies.cache.keepfresh.dev"
	crdFile = "bases/cache.keepfresh.dev_cachepolicies.yaml"
)

// versions are those of all that works together.
type versions struct {
	Client    string   `json:"client"`
	Revision  string   `json:"revision,omitempty"`
	CRD       string   `json:"crd,omitempty"`
	Operators []string `json:"operators,omitempty"`
}

func (p *plugin) version() *cobra.Command {
	var out output
	var clientOnly bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this plugin, the CRD and the operator",
		Long: `Print the versions of this plugin, the CRD and the operator. The operator is found by
the labels that the Helm chart gives its Deployment.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			info := version.Get()
			v := versions{Client: info.Version, Revision: info.Revision}
			var err error
			if !clientOnly {
				err = p.serverVersions(cmd.Context(), &v)
			}
			text := func() string {
				text := fmt.Sprintf("Plugin:    %s\n", info)
				if v.CRD != "" {
					text += fmt.Sprintf("CRD:       %s\n", v.CRD)
				}
				for _, o := range v.Operators {
					text += fmt.Sprintf("Operator:  %s\n", o)
				}
				return text
			}
			return errors.Join(out.print(p, v, text), err)
		},
	}
	out.add(cmd)
	cmd.Flags().BoolVar(&clientOnly, "client", false, "Print the plugin's version only, without asking the API server.")
	return cmd
}

func buildVersion() string { return version.Get().Version }

// serverVersions fills in what the API server lets one see. An error means that
// it cannot be asked.
func (p *plugin) serverVersions(ctx context.Context, v *versions) error {
	c, err := p.connect()
	if err != nil {
		return err
	}
	installed := &apiextensionsv1.CustomResourceDefinition{}
	err = c.Get(ctx, client.ObjectKey{Name: crdName}, installed)
	switch {
	case apierrors.IsNotFound(err):
		v.CRD = "not installed"
	case apierrors.IsForbidden(err):
		v.CRD = "not shown to you (you may not get CustomResourceDefinitions)"
	case err != nil:
		return err
	default:
		if v.CRD, err = compareCRD(installed); err != nil {
			return err
		}
	}
	var deployments appsv1.DeploymentList
	err = c.List(ctx, &deployments, client.MatchingLabels{partOf: "keepfresh"})
	switch {
	case apierrors.IsForbidden(err):
		v.Operators = []string{"not shown to you (you may not list Deployments in all namespaces)"}
	case err != nil:
		return err
	case len(deployments.Items) == 0:
		v.Operators = []string{"none found: no Deployment has the label " + partOf + "=keepfresh"}
	}
	for _, d := range deployments.Items {
		v.Operators = append(v.Operators, operator(d))
	}
	return nil
}

func operator(d appsv1.Deployment) string {
	var images []string
	for _, c := range d.Spec.Template.Spec.Containers {
		images = append(images, c.Image)
	}
	return fmt.Sprintf("%s/%s: %s, %d of %d ready", d.Namespace, d.Name, strings.Join(images, ", "), d.Status.ReadyReplicas, d.Status.Replicas)
}

// compareCRD says whether the CRD in the cluster is the one in this program, by
// whose rules lint judges.
func compareCRD(installed *apiextensionsv1.CustomResourceDefinition) (string, error) {
	text, err := crd.Bases.ReadFile(crdFile)
	if err != nil {
		return "", err
	}
	var known apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &known); err != nil {
		return "", err
	}
	var names []string
	same := len(installed.Spec.Versions) == len(known.Spec.Versions)
	for i, v := range installed.Spec.Versions {
		names = append(names, v.Name)
		same = same && equality.Semantic.DeepEqual(v.Schema, known.Spec.Versions[i].Schema)
	}
	if same {
		return strings.Join(names, ", ") + ", the same as this plugin's", nil
	}
	return strings.Join(names, ", ") + ", not the same as this plugin's: lint may judge otherwise than the API server", nil
}
