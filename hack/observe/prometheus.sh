#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Finds Prometheus and its promtool, and prints the folder that holds both on the
# last line. They come from the first of these that has them:
#   1. PROMETHEUS_DIR, a folder of yours;
#   2. PATH;
#   3. the cache, ${XDG_CACHE_HOME:-~/.cache}/keepfresh, or KEEPFRESH_CACHE;
#   4. Debian's package, unpacked into the cache. Nothing is installed or started.
# Prometheus 2.42 and 3.15 both do.
set -euo pipefail
shopt -s inherit_errexit

programs=(prometheus promtool)

say() { echo "prometheus: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# use FOLDER: print it if both programs in it run.
use() {
	local p
	for p in "${programs[@]}"; do
		"$1/$p" --version >/dev/null 2>&1 || die "$1/$p does not run: $("$1/$p" --version 2>&1 | head -n1)"
	done
	say "$("$1/prometheus" --version 2>&1 | head -n1)"
	echo "$1"
	exit
}

if [[ -n ${PROMETHEUS_DIR:-} ]]; then
	use "$(realpath "$PROMETHEUS_DIR")"
fi
if found=$(command -v prometheus) && [[ -x $(dirname "$found")/promtool ]]; then
	use "$(dirname "$found")"
fi

cache=${KEEPFRESH_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set: set KEEPFRESH_CACHE to a folder for the binaries}/.cache}/keepfresh}/prometheus
missing="prometheus and promtool are missing: install Prometheus (https://prometheus.io/download), and name the folder that holds both in PROMETHEUS_DIR."
complete() { [[ -x $cache/prometheus && -x $cache/promtool ]]; }

if ! complete; then
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || die "$missing"
	mkdir -p "$cache"
	exec 9>"$cache/.lock" # two makes at once: the second waits for the first
	! command -v flock >/dev/null || flock 9
	if ! complete; then
		work=$(mktemp -d "$cache/.unpack.XXXXXX")
		trap 'rm -rf "$work"' EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM
		get() { (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download prometheus) >"$work/log" 2>&1; }
		say "getting Debian's package into $cache"
		# Old lists may name a package that is gone.
		get || { apt-get -qq update >/dev/null 2>&1 && get; } || die "apt-get download prometheus failed: $(tail -n1 "$work/log"); $missing"
		dpkg-deb --extract "$work"/prometheus_*.deb "$work/unpacked"
		for p in "${programs[@]}"; do
			mv -f "$work/unpacked/usr/bin/$p" "$cache/$p"
		done
		rm -rf "$work"
	fi
fi
use "$cache"
