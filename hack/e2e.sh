#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs the end-to-end tests (test/e2e): builds images, brings a cluster, and
# installs the chart on it. The cluster is the first of these that there is:
#   1. the one that KUBECONFIG names. E2E_REGISTRY says where it can pull
#      images from, such as registry.example.com/keepfresh: they are pushed
#      there as docker login allows;
#   2. kind, where a container engine runs;
#   3. a cluster of one node, built from Go modules (hack/cluster).
# The last two are removed afterwards, unless E2E_KEEP is set.
#
# The release before, which the tests upgrade from, is the last tag v*; as long
# as there is none, the present chart and program as an earlier version.
#
# E2E_FLAGS goes to the test program, such as '-ginkgo.focus upgrade'.
set -euo pipefail
shopt -s inherit_errexit
repo=$(cd "$(dirname "$0")/.." && pwd)
cd "$repo"

say() { echo "e2e: $*" >&2; }
die() {
	say "$*"
	exit 1
}

work=$(mktemp -d)
undo=()
cleanup() {
	local code=$? i
	for ((i = ${#undo[@]} - 1; i >= 0; i--)); do
		eval "${undo[i]}" || say "could not clean up: ${undo[i]}"
	done
	exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
undo+=('rm -rf "$work"')

kind=$(command -v kind || true)
if [[ -n ${KUBECONFIG:-} ]]; then
	[[ -n ${E2E_REGISTRY:-} ]] || die "KUBECONFIG names a cluster: set E2E_REGISTRY to where it can pull the tests' images from, or unset KUBECONFIG to get a cluster made."
	cluster=given
elif [[ -n $kind ]] && { docker info || podman info || nerdctl info; } >/dev/null 2>&1; then
	cluster=kind
else
	cluster=modules
fi
say "the cluster: $cluster"

go_build() { CGO_ENABLED=0 go -C "$1" build -trimpath -o "$2" "$3"; }

helm=$(hack/tools/get.sh helm)
redis=$(hack/redis.sh)
say 'building the operator, the plugin and the tests'
mkdir -p bin
tag=e2e-$(date +%s) # of its own for each run, so that no node takes an old image for a new
CGO_ENABLED=0 go build -trimpath -ldflags "-X github.com/keepfresh/keepfresh/internal/version.stamped=$tag" -o "$work/keepfresh" ./cmd/keepfresh
go_build . "$repo/bin/kubectl-cachepolicy" ./cmd/kubectl-cachepolicy
go_build test/e2e "$work/app" ./app
go_build hack/image "$work/image" .
CGO_ENABLED=0 go -C test/e2e test -c -o "$work/e2e.test" .

previous=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)
if [[ -n $previous ]]; then
	say "the release before is $previous"
	mkdir "$work/previous"
	git archive "$previous" | tar -x -C "$work/previous"
	go_build "$work/previous" "$work/previous/operator" ./cmd/keepfresh
	previous_operator=$work/previous/operator
	previous_chart=$work/previous/charts/keepfresh
else
	say 'no release is tagged: the present chart stands in for the one before, as version 0.0.1'
	"$helm" package charts/keepfresh --version 0.0.1 --destination "$work" >/dev/null
	previous_operator=$work/keepfresh
	previous_chart=$work/keepfresh-0.0.1.tgz
fi

registry=${E2E_REGISTRY:-keepfresh.test}
# pack NAME FLAGS...: make an image, and have the cluster get it.
archives=()
pack() {
	local name=$1 out=$work/$1.tar
	shift
	if [[ $cluster == given ]]; then
		"$work/image" --name "$registry/$name:$tag" --push "$@" >/dev/null
	else
		"$work/image" --name "$registry/$name:$tag" --output "$out" "$@" >/dev/null
		archives+=("$out")
	fi
}
say "packing images as $registry/*:$tag"
pack keepfresh --binary "$work/keepfresh"
pack keepfresh-previous --binary "$previous_operator"
pack app --binary "$work/app"
pack redis --binary "$redis" --libraries

case $cluster in
kind)
	name=keepfresh-$tag
	export KUBECONFIG=$work/kubeconfig
	undo+=("[[ -n \${E2E_KEEP:-} ]] || $kind delete cluster --name $name")
	"$kind" create cluster --name "$name" --wait 2m
	"$kind" load image-archive --name "$name" "${archives[@]}"
	;;
modules)
	dir=$work/cluster
	[[ -z ${E2E_KEEP:-} ]] || dir=$(mktemp -d)
	undo+=("[[ -n \${E2E_KEEP:-} ]] || hack/cluster/cluster.sh down --dir $dir")
	KUBECONFIG=$(hack/cluster/cluster.sh up --dir "$dir" | tail -n1)
	export KUBECONFIG
	hack/cluster/cluster.sh load --dir "$dir" "${archives[@]}"
	;;
esac
[[ -z ${E2E_KEEP:-} || $cluster == given ]] || say "the cluster stays (E2E_KEEP): export KUBECONFIG=$KUBECONFIG"

export E2E_OPERATOR_IMAGE=$registry/keepfresh:$tag E2E_PREVIOUS_IMAGE=$registry/keepfresh-previous:$tag
export E2E_APP_IMAGE=$registry/app:$tag E2E_REDIS_IMAGE=$registry/redis:$tag
export E2E_CHART=$repo/charts/keepfresh E2E_PREVIOUS_CHART=$previous_chart
export E2E_HELM=$helm E2E_PLUGIN=$repo/bin/kubectl-cachepolicy

read -ra flags <<<"${E2E_FLAGS:-}"
say 'running test/e2e'
started=$SECONDS
"$work/e2e.test" -test.timeout 30m -ginkgo.v -ginkgo.no-color "${flags[@]}" || die "FAILED after $((SECONDS - started)) s (see above)"
say "passed in $((SECONDS - started)) s"
