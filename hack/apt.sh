# Sourced by the scripts beside it: installs Debian packages with no service
# started, and says so.

# can_apt: whether this is a Debian, or a child of it, and we may change it.
can_apt() { [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; }

# apt_install PACKAGE...: output goes to stderr, and only that of a failure.
# A package's service is not started: while dpkg runs, policy-rc.d forbids it,
# as it does in a container's build.
apt_install() (
	policy=/usr/sbin/policy-rc.d
	log=$(mktemp)
	ours=
	trap '[[ -z $ours ]] || rm -f "$policy"; rm -f "$log"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM

	exec 9</var/lib/dpkg # one at a time; the folder itself is what is locked
	! command -v flock >/dev/null || flock 9
	if [[ ! -e $policy ]]; then
		ours=yes
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt() { apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1 9>&-; }
	echo "apt: installing $*" >&2
	# Without the lists there may be nothing to install from; with old ones,
	# only files that are gone. Either way the update comes first, and its
	# failure matters only if the install fails as well.
	apt update || true
	if ! apt install -y --no-install-recommends "$@"; then
		cat "$log" >&2
		return 1
	fi
)
