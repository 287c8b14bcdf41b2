#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Builds a program that hack/tools/go.mod, or a hack/*/tools/go.mod, pins into
# bin/tools/, and prints its path on the last line. What is built already, from
# the same go.mod and by the same Go, is not built again.
#
#   hack/tools/get.sh controller-gen
set -euo pipefail
shopt -s inherit_errexit

say() { echo "tools: $*" >&2; }
die() {
	say "$*"
	exit 1
}

[[ $# -eq 1 ]] || die "usage: hack/tools/get.sh <name of a tool in hack/tools/go.mod or hack/*/tools/go.mod>"
name=$1
repo=$(cd "$(dirname "$0")/../.." && pwd)
pins=$(grep -lE "^(tool)?[[:space:]]+[^ ]+/$name\$" "$repo"/hack/tools/go.mod "$repo"/hack/*/tools/go.mod | head -n1) ||
	die "no tool is named $name, in neither hack/tools/go.mod nor hack/*/tools/go.mod."
here=$(dirname "$pins")
bin=$repo/bin/tools
tool=$bin/$name
stamp=$bin/.$name.stamp

command -v go >/dev/null || die "go is missing: install Go 1.26 or later (https://go.dev/dl)."
wanted="$(go env GOVERSION) $(cat "$here/go.mod" "$here/go.sum" | cksum)"
current() { [[ -x $tool && -f $stamp && $(<"$stamp") == "$wanted" ]]; }

if ! current; then
	mkdir -p "$bin"
	# Two makes at once: the second waits for the first. Go does not get the
	# descriptor, for it may leave a process behind that would keep the lock.
	exec 9>"$bin/.lock"
	! command -v flock >/dev/null || flock 9
	if ! current; then
		say "building $name (once)"
		package=$(cd "$here" && go list -f '{{.ImportPath}}' tool 9>&- | grep -E "/$name\$") ||
			die "go could not read $pins (see above)."
		(cd "$here" && CGO_ENABLED=0 GOWORK=off go build -mod=readonly -buildvcs=false -trimpath -ldflags '-s -w' \
			-o "$tool.new" "$package" 9>&-) ||
			die "$name cannot be built (see above); it needs the Go module proxy ($(go env GOPROXY))."
		mv -f "$tool.new" "$tool"
		echo "$wanted" >"$stamp"
	fi
fi
echo "$tool"
