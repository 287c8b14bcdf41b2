#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Checks that what is generated follows from what it is generated from, and
# that the modules are tidy. It works on a copy, so that the checkout is left
# as it is, and may be dirty.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

stale=
tools=()
for name in controller-gen helm helm-docs; do tools+=("$(hack/tools/get.sh "$name")"); done
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "verify: generated files"
generated=(api config/crd/bases config/rbac charts dist docs/metrics.md)
# The files that are there now, those not yet added to git among them.
git ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' f; do [[ ! -f $f ]] || printf '%s\0' "$f"; done |
	tar --create --null --files-from=- | tar --extract --directory="$copy"
mkdir -p "$copy/bin/tools"
for tool in "${tools[@]}"; do cp -p "$tool" "$(dirname "$tool")/.$(basename "$tool").stamp" "$copy/bin/tools/"; done
# A file whose source is gone would stay unnoticed.
rm -f "$copy"/config/crd/bases/*.yaml "$copy"/config/rbac/role.yaml "$copy"/docs/metrics.md
find "$copy/api" -name 'zz_generated*' -delete
make -C "$copy" generate manifests chart >"$copy/log" 2>&1 || {
	sed "s|$copy/||g" "$copy/log"
	echo "verify: generating failed (see above)"
	exit 1
}
for path in "${generated[@]}"; do
	diff -ruN "$path" "$copy/$path" | sed "s|$copy|generated|" || stale="make generate manifests chart (and remove files that are generated no more)"
done

for target in build plugin image; do
	echo "verify: make $target stamps its version"
	grep -qF 'version.stamped=v9.9.9' <<<"$(make -n "$target" VERSION=v9.9.9)" || {
		echo "verify: a program built by make $target would not say its version: pass it \$(stamp) in the Makefile"
		exit 1
	}
done

# Scripts that build by themselves stamp the very same variable.
variable=$(sed -n 's/^stamp = -X \([^=]*\)=.*/\1/p' Makefile)
while IFS=: read -r file line text; do
	grep -qF -- "-X $variable=" <<<"$text" || {
		echo "verify: $file:$line builds a program that would not say its version: pass -X $variable=VERSION"
		exit 1
	}
done < <(grep -n -- -ldflags hack/e2e.sh hack/krew/build.sh Dockerfile)

for module in . hack/tools hack/chart/tools hack/image hack/bench test/e2e; do
	echo "verify: $module/go.mod is tidy"
	go -C "$module" mod tidy -diff || stale+="${stale:+, then }(cd $module && go mod tidy)"
done

if [[ -n $stale ]]; then
	echo "verify: not up to date (see above); run: $stale"
	exit 1
fi
echo "verify: all up to date"
