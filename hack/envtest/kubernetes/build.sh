#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Builds programs of the Kubernetes that go.mod pins into FOLDER, with the
# version that Kubernetes' own build sets (its hack/lib/version.sh):
#
#   hack/envtest/kubernetes/build.sh FOLDER kube-apiserver kubectl
set -euo pipefail
shopt -s inherit_errexit

say() { echo "kubernetes: $*" >&2; }
(($# > 1)) || {
	say "usage: hack/envtest/kubernetes/build.sh <folder> <program>..."
	exit 2
}
folder=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")"

version=$(sed -nE 's|^\s*k8s.io/kubernetes v([^ ]+).*|\1|p' go.mod)
IFS=. read -r major minor _ <<<"$version"
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	flags+=" -X $package.gitVersion=v$version -X $package.gitTreeState=clean -X $package.gitMajor=$major -X $package.gitMinor=$minor"
done

began=$SECONDS
say "building $* $version from Go modules"
CGO_ENABLED=0 GOWORK=off go build -mod=readonly -buildvcs=false -trimpath -ldflags "$flags" \
	-o "$folder/" "${@/#/k8s.io/kubernetes/cmd/}" || {
	say "this cannot be built (see above)"
	exit 1
}
say "built in $((SECONDS - began)) s"
