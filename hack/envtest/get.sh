#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Gets the programs that tests and the demo need for a real API server, and
# prints the folder that holds them on the last line: kube-apiserver, etcd and
# kubectl, in bin/envtest/. Progress goes to stderr.
#
# They come from the first of these that works:
#   1. KUBEBUILDER_ASSETS, a folder of yours that holds all three;
#   2. the cache, which checkouts share: ${XDG_CACHE_HOME:-~/.cache}/keepfresh,
#      or KEEPFRESH_CACHE;
#   3. a download into the cache by setup-envtest (from GitHub);
#   4. a build into the cache from Go modules, as ./kubernetes/go.mod and
#      ./etcd/go.mod pin them. It takes minutes, once.
# bin/envtest/ holds links, so that removing bin/ costs nothing.
set -euo pipefail
shopt -s inherit_errexit

programs=(kube-apiserver etcd kubectl)

here=$(cd "$(dirname "$0")" && pwd)
# version MODULE FOLDER: the version that FOLDER/go.mod requires, without its v.
version() { sed -nE "s|^(require)?[[:space:]]*$1 v([^ ]+).*|\2|p" "$here/$2/go.mod"; }
kubernetes=$(version k8s.io/kubernetes kubernetes)
etcd=$(version go.etcd.io/etcd/server/v3 etcd)
repo=$(cd "$here/../.." && pwd)
assets=$repo/bin/envtest
cache=${KEEPFRESH_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set: set KEEPFRESH_CACHE to a folder for the binaries}/.cache}/keepfresh}/envtest-$kubernetes
# What the cache must hold. A download brings an etcd of its own choice.
recipe="kubernetes $kubernetes, etcd $etcd, $(uname -sm)"

say() { echo "envtest: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# missing FOLDER: the programs that FOLDER lacks.
missing() {
	local p
	for p in "${programs[@]}"; do
		[[ -x $1/$p ]] || echo "$p"
	done
}

# holds FOLDER STAMP: FOLDER is complete and was made for STAMP.
holds() {
	[[ -f $1/.stamp && $(head -n1 "$1/.stamp") == "$2" && -z $(missing "$1") ]]
}

# link FOLDER: have bin/envtest/ point into FOLDER.
link() {
	local p
	mkdir -p "$assets"
	for p in "${programs[@]}"; do
		ln -sf "$1/$p" "$assets/.$p.$$"
		mv -f "$assets/.$p.$$" "$assets/$p" # at once, in case another make looks
	done
	echo "$1: $recipe" >"$assets/.stamp.$$"
	mv -f "$assets/.stamp.$$" "$assets/.stamp"
	say "bin/envtest/ uses $1"
}

# with_go: go without the lock's descriptor, for Go may leave a process behind
# that would keep the lock.
with_go() { go "$@" 9>&-; }

# keep FOLDER HOW: move the programs of FOLDER into the cache.
keep() {
	local p
	rm -f "$cache/.stamp"
	for p in "${programs[@]}"; do
		mv -f "$1/$p" "$cache/$p"
	done
	printf '%s\n%s\n' "$recipe" "$2" >"$cache/.stamp"
}

# download: 1 where the download's server is out of reach or fails.
download() {
	local setup listed release dir
	case $(uname -s) in Linux | Darwin) ;; *) return 1 ;; esac
	command -v timeout >/dev/null || { say "no timeout command, so no download"; return 1; }
	setup=$("$repo/hack/tools/get.sh" setup-envtest 9>&-) || return 1
	say "asking GitHub for its builds of Kubernetes ${kubernetes%.*}"
	# Learn quickly whether the server can be reached; then let it take its time.
	if ! listed=$(timeout 20 "$setup" list --bin-dir "$work/store" "${kubernetes%.*}.x" 2>"$work/list.err" 9>&-); then
		say "no download: GitHub cannot be reached ($(tail -n1 "$work/list.err" | sed 's/.*: //'))"
		return 1
	fi
	release=$(grep -oE "${kubernetes%.*}\.[0-9]+" <<<"$listed" | sort -uV | tail -n1) || true
	[[ -n $release ]] || { say "no download: there is no build of Kubernetes ${kubernetes%.*} for $(uname -sm)"; return 1; }
	say "downloading Kubernetes $release"
	if ! dir=$(timeout 900 "$setup" use --bin-dir "$work/store" -p path "$release" 9>&- 2> >(tail -n1 >&2)); then
		say "the download failed"
		return 1
	fi
	chmod -R u+w "$work/store" # setup-envtest writes read-only folders
	[[ -z $(missing "$dir") ]] || { say "the download lacks $(missing "$dir" | xargs)"; return 1; }
	keep "$dir" "downloaded, Kubernetes $release"
}

build() {
	command -v go >/dev/null || die "go is missing: install Go 1.26 or later (https://go.dev/dl)."
	local began=$SECONDS
	mkdir -p "$work/built"
	say "building etcd from Go modules"
	(cd "$here/etcd" && CGO_ENABLED=0 GOWORK=off with_go build -mod=readonly -buildvcs=false -trimpath \
		-ldflags '-s -w' -o "$work/built/etcd" go.etcd.io/etcd/server/v3) || unbuilt etcd
	say "built etcd in $((SECONDS - began)) s"
	say "Kubernetes takes minutes (three on 4 cores), once"
	"$here/kubernetes/build.sh" "$work/built" kube-apiserver kubectl 9>&- || unbuilt Kubernetes
	keep "$work/built" "built by $(with_go env GOVERSION)"
}

unbuilt() {
	die "$1 cannot be built (see above). It needs the Go module proxy ($(with_go env GOPROXY)) and 3 GB of disk;" \
		"or get Kubernetes' binaries yourself and set KUBEBUILDER_ASSETS to their folder."
}

# Somebody who names a folder gets that folder; our own is no source.
source=$cache
if [[ -n ${KUBEBUILDER_ASSETS:-} && ! $KUBEBUILDER_ASSETS -ef $assets ]]; then
	source=$(cd "$KUBEBUILDER_ASSETS" 2>/dev/null && pwd) || die "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS is not a folder."
	[[ -z $(missing "$source") ]] ||
		die "KUBEBUILDER_ASSETS=$source lacks $(missing "$source" | xargs); unset it to have them downloaded or built."
fi

if holds "$assets" "$source: $recipe"; then
	echo "$assets"
	exit
fi

if [[ $source == "$cache" ]] && ! holds "$cache" "$recipe"; then
	mkdir -p "$cache"
	exec 9>"$cache/.lock"
	if command -v flock >/dev/null && ! flock -n 9; then
		say "waiting for another run, which fills $cache"
		flock 9
	fi
	if ! holds "$cache" "$recipe"; then
		work=$(mktemp -d "$cache/.work.XXXXXX")
		trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM
		say "filling $cache"
		download || build
		holds "$cache" "$recipe" || die "$cache could not be filled (see above)."
	fi
fi
link "$source"
echo "$assets"
