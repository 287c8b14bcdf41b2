#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests: gets what they need, runs them, and ends with what failed.
# PACKAGES (./...) and TESTFLAGS narrow it down.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

hack/prereqs.sh
KUBEBUILDER_ASSETS=$(hack/envtest/get.sh)
REDIS_SERVER=$(hack/redis.sh)
export KUBEBUILDER_ASSETS REDIS_SERVER

read -ra packages <<<"${PACKAGES:-./...}"
read -ra flags <<<"${TESTFLAGS:-}"
mkdir -p bin
log=bin/test.log
echo "test: with $("$KUBEBUILDER_ASSETS/kube-apiserver" --version) and $("$REDIS_SERVER" --version | grep -oE '^[A-Za-z]+|v=[^ ]+' | xargs)"
echo "test: go test -race ${flags[*]} ${packages[*]}"

# Without a C compiler Go turns cgo off by itself, but prereqs.sh has seen to it.
: >"$log"
run() {
	CGO_ENABLED=1 go test -C "$1" -race -timeout 15m "${flags[@]}" "${@:2}" 2>&1 | tee -a "$log" | grep -v '\[no test files\]'
	return "${PIPESTATUS[0]}"
}
code=0
run . "${packages[@]}" || code=$?
if [[ ${packages[*]} == ./... ]]; then
	echo "test: go test -C hack/image (a module of its own)"
	run hack/image ./... || code=$?
fi

passed=$(grep -c '^ok' "$log" || true)
if ((code != 0)); then
	echo
	echo "test: FAILED after $SECONDS s; $passed packages passed. Everything is in $log. In short:"
	grep -E '^ *--- FAIL|^FAIL.|^panic:|WARNING: DATA RACE|\[FAIL\]|leak: ' "$log" | sort | uniq -c | sed -E 's/^ *1 /  /' || true
	exit 1
fi
echo "test: $passed packages passed in $SECONDS s"
