#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Writes what of the chart follows from elsewhere: the copies of config/ and
# dashboards/ below charts/keepfresh/files (Helm reads nothing outside of a
# chart), its README, and dist/install.yaml, which is the chart with its
# defaults for those who have no Helm.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/../.."

helm=$(hack/tools/get.sh helm)
docs=$(hack/tools/get.sh helm-docs)
chart=charts/keepfresh
namespace=keepfresh-system

echo "chart: $chart/files, $chart/README.md"
rm -rf "$chart/files"
mkdir -p "$chart/files/crds" "$chart/files/rbac"
cp config/crd/bases/*.yaml "$chart/files/crds/"
cp config/rbac/{role,metrics_reader_role,user_roles}.yaml "$chart/files/rbac/"
cp dashboards/keepfresh.json "$chart/files/dashboard.json"
cp dashboards/alerts.yaml "$chart/files/alerts.yaml"
"$docs" --chart-search-root "$chart" --log-level warning
if undocumented=$(grep -oP '^\| \K.+(?=\|  \|$)' "$chart/README.md"); then
	echo "chart: values.yaml says nothing of these (begin a comment above with # --):" >&2
	echo "$undocumented" >&2
	exit 1
fi

echo "chart: dist/install.yaml"
mkdir -p dist
{
	cat <<-EOF
		# Keepfresh without Helm: kubectl apply --server-side -f install.yaml
		# Made from charts/keepfresh by make chart.
		# Deleting these objects deletes the CRDs, and with them all CachePolicies.
		apiVersion: v1
		kind: Namespace
		metadata:
		  name: $namespace
		  labels:
		    pod-security.kubernetes.io/enforce: restricted
	EOF
	# The labels and annotations that speak of a release would not be true.
	"$helm" template keepfresh "$chart" --namespace "$namespace" --set crds.keep=false,test.enabled=false |
		grep -vE '^ +(app\.kubernetes\.io/managed-by: Helm|helm\.sh/chart: .*)$|^# Source: '
} >dist/install.yaml
