#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Gets the programs and images of the cluster, and prints the folder that holds
# them on the last line: the cache, which checkouts share, is
# ${XDG_CACHE_HOME:-~/.cache}/keepfresh, or KEEPFRESH_CACHE. Progress goes to
# stderr.
#
# All are built from Go modules: Kubernetes' as ../envtest/kubernetes/go.mod pins
# them, the others as the go.mod of the folders beside this script. kube-apiserver,
# etcd and kubectl are those of ../envtest, to which the folder has links.
set -euo pipefail
shopt -s inherit_errexit

programs=(kubeadm kubelet kube-proxy kube-scheduler kube-controller-manager
	containerd containerd-shim-runc-v2 ctr bridge host-local loopback portmap)
images=(pause.tar coredns.tar coredns.version)

here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
kubernetes=$(sed -nE 's|^\s*k8s.io/kubernetes v([^ ]+).*|\1|p' "$repo/hack/envtest/kubernetes/go.mod")
coredns=$(sed -nE 's|^(require)?\s*github.com/coredns/coredns v([^ ]+).*|\2|p' "$here/coredns/go.mod")
cache=${KEEPFRESH_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set: set KEEPFRESH_CACHE to a folder for the binaries}/.cache}/keepfresh}/cluster-$kubernetes

say() { echo "cluster: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# What the cache must hold follows from these files.
recipe="$(uname -sm) $(cat "$repo/hack/envtest/kubernetes/"go.{mod,sum} "$here"/{containerd,cni,coredns}/go.{mod,sum} \
	"$here"/{coredns,pause}/main.go "$here/get.sh" | cksum)"

current() {
	local f
	[[ -f $cache/.stamp && $(<"$cache/.stamp") == "$recipe" ]] || return 1
	for f in "${programs[@]}" "${images[@]}"; do
		[[ -s $cache/$f ]] || return 1
	done
}

# build FOLDER PACKAGE...: in the module of FOLDER, into $work.
build() {
	local began=$SECONDS folder=$1
	shift
	say "building ${*##*/} from Go modules"
	(cd "$folder" && CGO_ENABLED=0 GOWORK=off go build -mod=readonly -buildvcs=false -trimpath \
		-ldflags '-s -w' -o "$work/" "$@" 9>&-) ||
		die "this cannot be built (see above); it needs the Go module proxy ($(go env GOPROXY)) and 3 GB of disk."
	say "built in $((SECONDS - began)) s"
}

# pack NAME PROGRAM: an image that runs PROGRAM, as NAME.tar has it.
pack() {
	(cd "$repo/hack/image" && CGO_ENABLED=0 GOWORK=off go run . --name "keepfresh.dev/cluster/$1" \
		--binary "$work/$2" --output "$work/$2.tar" 9>&- >&2) || die "the image of $2 cannot be built (see above)."
	rm "$work/$2"
}

if ! current; then
	command -v go >/dev/null || die "go is missing: install Go 1.26 or later (https://go.dev/dl)."
	mkdir -p "$cache"
	exec 9>"$cache/.lock"
	if ! flock -n 9; then
		say "waiting for another run, which fills $cache"
		flock 9
	fi
	if ! current; then
		work=$(mktemp -d "$cache/.work.XXXXXX")
		trap 'rm -rf "$work"' EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM
		say "filling $cache: four minutes on 4 cores, once"
		"$repo/hack/envtest/kubernetes/build.sh" "$work" kubeadm kubelet kube-proxy kube-scheduler kube-controller-manager 9>&-
		build "$here/containerd" github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr}
		build "$here/cni" github.com/containernetworking/plugins/plugins/{main/bridge,main/loopback,ipam/host-local,meta/portmap}
		build "$here/coredns" .
		build "$repo" ./hack/cluster/pause
		pack "coredns:$coredns" coredns
		pack pause:1 pause
		echo "$coredns" >"$work/coredns.version"
		rm -f "$cache/.stamp"
		for f in "${programs[@]}" "${images[@]}"; do
			mv -f "$work/$f" "$cache/$f"
		done
		echo "$recipe" >"$cache/.stamp"
	fi
	exec 9>&-
fi
echo "$cache"
