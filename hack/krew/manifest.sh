#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Prints the manifest by which krew installs the plugin (https://krew.sigs.k8s.io):
#   manifest.sh VERSION URL ARCHIVE...
# where the archives are named kubectl-cachepolicy_OS_ARCH.tar.gz, and are to be
# had at URL/ARCHIVE.
set -euo pipefail
shopt -s inherit_errexit

version=$1 url=$2
shift 2
cat <<EOF
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: cachepolicy
spec:
  version: $version
  homepage: https://github.com/keepfresh/keepfresh
  shortDescription: See and steer the caches that Keepfresh keeps fresh
  description: |
    Shows how the CachePolicies of Keepfresh stand, live or once, asks for keys to
    be refreshed and waits for it, suspends and resumes policies, explains what the
    operator knows of a Redis key, and checks manifests without an API server.
  platforms:
EOF
for archive in "$@"; do
	platform=${archive##*/kubectl-cachepolicy_}
	IFS=_ read -r os arch <<<"${platform%.tar.gz}"
	bin=kubectl-cachepolicy
	[[ $os != windows ]] || bin+=.exe
	read -r sum _ < <(sha256sum "$archive")
	cat <<EOF
  - selector:
      matchLabels:
        os: $os
        arch: $arch
    uri: $url/${archive##*/}
    sha256: $sum
    bin: $bin
EOF
done
