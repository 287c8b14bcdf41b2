#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs govulncheck over the module: which known vulnerabilities does the code reach?
# With --if-reachable it only says so if Go's vulnerability database cannot be had.
# GOVULNDB names another copy of it.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

say() { echo "vuln: $*"; }
db=${GOVULNDB:-https://vuln.go.dev}
if [[ $db == http* ]] && ! curl --silent --fail --max-time 10 --output /dev/null "$db/index/db.json"; then
	say "the vulnerability database at $db cannot be reached; set GOVULNDB to a copy of it (file:///...)" >&2
	[[ ${1:-} == --if-reachable ]] && exit 0
	exit 1
fi
tool=$(hack/tools/get.sh govulncheck)
say "govulncheck ./... (database: $db)"
"$tool" -db "$db" ./...
