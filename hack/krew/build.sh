#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Builds the plugin for PLATFORMS, as archives that krew installs and a manifest
# that names them, in bin/krew. VERSION is the release's, such as v1.2.3.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/../.."

: "${PLATFORMS:=linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64}"
: "${URL:=https://github.com/keepfresh/keepfresh/releases/download/${VERSION:?is to say which release this is, such as v1.2.3}}"
out=bin/krew
rm -rf "$out"
mkdir -p "$out"

archives=()
for platform in $PLATFORMS; do
	IFS=/ read -r os arch <<<"$platform"
	archive=$out/kubectl-cachepolicy_${os}_$arch.tar.gz
	bin=kubectl-cachepolicy
	[[ $os != windows ]] || bin+=.exe
	echo "krew: $archive"
	dir=$out/$os-$arch
	mkdir "$dir"
	GOOS=$os GOARCH=$arch CGO_ENABLED=0 go build -trimpath \
		-ldflags "-s -w -X github.com/keepfresh/keepfresh/internal/version.stamped=$VERSION" \
		-o "$dir/$bin" ./cmd/kubectl-cachepolicy
	install -m 0644 LICENSE "$dir/"
	install -m 0755 cmd/kubectl-cachepolicy/kubectl_complete-cachepolicy "$dir/"
	# The same sources give the same archive.
	tar --directory="$dir" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --create . | gzip -n -9 >"$archive"
	rm -r "$dir"
	archives+=("$archive")
done
hack/krew/manifest.sh "$VERSION" "$URL" "${archives[@]}" >"$out/cachepolicy.yaml"
echo "krew: $out/cachepolicy.yaml; try it with: kubectl krew install --manifest=$out/cachepolicy.yaml --archive=$out/kubectl-cachepolicy_$(go env GOOS)_$(go env GOARCH).tar.gz"
