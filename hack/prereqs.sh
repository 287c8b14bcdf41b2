#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Checks what tests need of the machine: the Go that go.mod asks for, and a C
# compiler, for the race detector. A missing compiler is installed where apt is.
set -euo pipefail
shopt -s inherit_errexit
. "$(dirname "$0")/apt.sh"

die() {
	echo "prereqs: $*" >&2
	exit 1
}

wanted=$(sed -n 's/^go //p' "$(dirname "$0")/../go.mod")
command -v go >/dev/null || die "go is missing: install Go $wanted or later (https://go.dev/dl)."
cd / # where no go.mod makes an older Go refuse to answer
go=$(go env GOVERSION | cut -d' ' -f1)
[[ $(printf '%s\n' "$wanted" "${go#go}" | sort -V | head -n1) == "$wanted" || $(go env GOTOOLCHAIN) != local ]] ||
	die "Go is ${go#go}, and go.mod asks for $wanted: install it (https://go.dev/dl), or unset GOTOOLCHAIN."

# compiles: whether the C compiler, and the C library's headers, are there.
compiles() {
	local cc
	read -ra cc <<<"$(go env CC)"
	echo '#include <stdlib.h>
		int main(void) { return 0; }' | "${cc[@]}" -x c -o /dev/null - 2>/dev/null
}
if ! compiles; then
	can_apt || die "there is no working C compiler, and go test -race needs one: install it (Debian: apt-get install gcc libc6-dev)."
	apt_install gcc libc6-dev || die "the C compiler for go test -race cannot be installed (see above): install gcc and libc6-dev yourself."
	compiles || die "$(go env CC) cannot compile a C program, and go test -race needs it: install gcc, or name a compiler in CC."
fi
