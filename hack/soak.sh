#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs hack/soak: two engines on one Redis, for SOAK_SECONDS (600), while loaders
# fail, Redis restarts, and applications write and delete.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

REDIS_SERVER=$(hack/redis.sh)
export REDIS_SERVER
mkdir -p bin
CGO_ENABLED=0 go build -trimpath -o bin/soak ./hack/soak
exec bin/soak -for "${SOAK_SECONDS:-600}s"
