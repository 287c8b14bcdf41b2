#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Checks the chart: helm lint and helm-unittest, and then kubeconform and all
# else on a real API server (the Go tests beside this file).
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/../.."

say() { echo "lint-chart: $*"; }
die() {
	say "$*" >&2
	exit 1
}

# The kinds of the Prometheus operator come with its source.
prometheus=github.com/prometheus-operator/prometheus-operator@v0.92.0

HELM=$(hack/tools/get.sh helm)
unittest=$(hack/tools/get.sh helm-unittest)
KUBECONFORM=$(hack/tools/get.sh kubeconform)
KUBEBUILDER_ASSETS=$(hack/envtest/get.sh)
source=$(go mod download -json "$prometheus" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p') || true
[[ -d $source ]] || die "cannot get $prometheus from the Go module proxy ($(go env GOPROXY))."
PROMETHEUS_OPERATOR_CRDS=$source/example/prometheus-operator-crd
KEEPFRESH_BIN=$PWD/bin/keepfresh
export HELM KUBECONFORM KUBEBUILDER_ASSETS PROMETHEUS_OPERATOR_CRDS KEEPFRESH_BIN

for values in charts/keepfresh/ci/*-values.yaml; do
	say "helm lint --strict, $(basename "$values")"
	out=$("$HELM" lint --strict --values "$values" --set metrics.requireCRDs=false charts/keepfresh 2>&1) || die "$out"
done

say "helm unittest"
"$unittest" --strict charts/keepfresh

say "on an API server: kubeconform, dry runs, rights, upgrade and uninstall (go test -tags chart ./hack/chart)"
CGO_ENABLED=0 go test -trimpath -tags chart -count=1 ./hack/chart
