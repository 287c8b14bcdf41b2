#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Measures what keeping caches fresh costs, next to the bare work: builds
# hack/bench and runs all of its rows, or those that BENCH names. Nothing else
# should run on the machine meanwhile.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

KUBEBUILDER_ASSETS=$(hack/envtest/get.sh)
REDIS_SERVER=$(hack/redis.sh)
BENCH_CRDS=$PWD/config/crd/bases
export KUBEBUILDER_ASSETS REDIS_SERVER BENCH_CRDS

mkdir -p bin
echo 'bench: building'
CGO_ENABLED=0 go -C hack/bench build -trimpath -o "$PWD/bin/bench" .
read -ra rows <<<"${BENCH:-}"
exec bin/bench "${rows[@]}"
