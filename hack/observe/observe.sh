#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Checks dashboards/ on a real Prometheus that scrapes real operators: make
# observe builds bin/keepfresh first. TESTFLAGS are further flags for go test.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/../.."

KUBEBUILDER_ASSETS=$(hack/envtest/get.sh)
REDIS_SERVER=$(hack/redis.sh)
PROMETHEUS_DIR=$(hack/observe/prometheus.sh)
KEEPFRESH_BIN=$PWD/bin/keepfresh
export KUBEBUILDER_ASSETS REDIS_SERVER PROMETHEUS_DIR KEEPFRESH_BIN

read -ra flags <<<"${TESTFLAGS:-}"
echo "observe: go test ./hack/observe ${flags[*]}"
go test -count=1 -timeout 10m -v "${flags[@]}" ./hack/observe
