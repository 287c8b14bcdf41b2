#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Finds a redis-server of 7.0 or later, or installs Debian's, and prints its
# path on the last line. REDIS_SERVER names one of yours; Valkey will do.
# Tests and the demo start it themselves: no service is started or enabled.
set -euo pipefail
shopt -s inherit_errexit
. "$(dirname "$0")/apt.sh"

say() { echo "redis: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# use SERVER: print it if it will do.
use() {
	local version
	version=$("$1" --version 2>&1 | grep -oE 'v=[0-9]+' | head -n1 | cut -c3-) || true
	[[ -n $version ]] || die "$1 does not run as a redis-server: $("$1" --version 2>&1 | head -n1)"
	((version >= 7)) || die "$1 is version $version, and Keepfresh needs 7.0 or later: install one, and name it in REDIS_SERVER."
	echo "$1"
	exit
}

if [[ -n ${REDIS_SERVER:-} ]]; then
	found=$(command -v "$REDIS_SERVER") || die "REDIS_SERVER=$REDIS_SERVER is not a program."
	use "$(realpath -s "$found")"
fi
! found=$(command -v redis-server) || use "$found"

can_apt || die "redis-server is missing: install Redis 7.0 or later (Debian: apt-get install redis-server), or name one in REDIS_SERVER."
apt_install redis-server || die "redis-server cannot be installed (see above): install Redis 7.0 or later yourself, or name one in REDIS_SERVER."
# Nor shall it start with the machine's next boot: nobody asked for that.
! command -v update-rc.d >/dev/null || update-rc.d redis-server disable >/dev/null 2>&1 || true
found=$(command -v redis-server) || die "apt installed redis-server, but it is not on PATH ($PATH)."
use "$found"
