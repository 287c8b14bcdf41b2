#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# A real Kubernetes cluster of one node on this machine, for end-to-end tests,
# without a container engine or a registry: every program is built from Go
# modules (get.sh), but for Debian's runc and nft.
#
#   cluster.sh up [--dir DIR]                start it; KUBECONFIG is the last line
#   cluster.sh load [--dir DIR] IMAGE.tar... give it images (OCI or docker archives)
#   cluster.sh exec [--dir DIR] COMMAND...   run COMMAND in its network
#   cluster.sh down [--dir DIR]              stop it, and remove whatever is left
#
# DIR holds all of its state, and logs/ in it what each program says; it is
# bin/cluster of this checkout unless given. Each DIR is a cluster, and several may
# be up. Progress goes to stderr.
#
# The cluster lives in PID, mount, network, UTS and IPC namespaces of its own
# (node.sh), and takes of the machine only what bears the ID that follows from DIR:
# the cgroups keepfresh-ID and the network link kf-ID. So `down` finds everything,
# even after a kill -9 in the midst of `up`.
set -euo pipefail
shopt -s inherit_errexit

PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../apt.sh"

say() { echo "cluster: $*" >&2; }
die() {
	say "$*"
	exit 1
}
usage() {
	sed -n '/^#   cluster.sh/s/^#  //p' "$0" >&2
	exit 2
}

# What the cluster needs of the machine, as command:package.
needs=(runc:runc nft:nftables ip:iproute2 nsenter:util-linux flock:util-linux mount:mount sysctl:procps hostname:hostname)

prerequisites() {
	local need missing=()
	[[ $(uname -s) == Linux ]] || die "a cluster needs Linux: set KUBECONFIG to a cluster of yours instead."
	[[ $(id -u) -eq 0 ]] || die "only root can make a cluster: run this by sudo, or set KUBECONFIG to a cluster of yours."
	case $dir/ in /run/* | /var/run/* | /etc/* | /var/lib/* | /var/log/*)
		die "$dir is where the cluster has files of its own: choose another folder by --dir." ;;
	esac
	((${#dir} < 80)) || die "$dir is too long for the path of a socket: choose a shorter one by --dir."
	for need in "${needs[@]}"; do
		command -v "${need%:*}" >/dev/null || missing+=("${need#*:}")
	done
	if ((${#missing[@]})); then
		can_apt || die "install ${missing[*]}, which the cluster needs."
		apt_install "${missing[@]}" || die "${missing[*]} cannot be installed (see above): install them yourself."
	fi
	[[ -e /proc/sys/net/bridge ]] || modprobe br_netfilter 2>/dev/null ||
		die "the kernel has no br_netfilter, without which pods do not reach their Services: modprobe br_netfilter."
}

# Cgroups: one hierarchy (version 2), or one for each controller (version 1), with
# one of version 2 beside them that runc uses as well.
hierarchies() { findmnt -rn -t cgroup,cgroup2 -o TARGET; }
# The programs' own cgroup, by which they are found: pids is as good as any.
own() {
	if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
		echo "/sys/fs/cgroup/keepfresh-$id/node"
	else
		echo "/sys/fs/cgroup/pids/keepfresh-$id/node"
	fi
}

make_cgroups() {
	local h c
	for h in $(hierarchies); do
		mkdir -p "$h/keepfresh-$id"
	done
	mkdir -p "$(own)"
	[[ -e /sys/fs/cgroup/cgroup.controllers ]] || return 0
	for c in cpuset cpu io memory pids hugetlb; do
		grep -qw "$c" /sys/fs/cgroup/cgroup.subtree_control || echo "+$c" >/sys/fs/cgroup/cgroup.subtree_control ||
			say "the cgroup controller $c cannot be had"
	done
}

# processes: those that run, the containers' among them.
processes() {
	local h
	for h in $(hierarchies); do
		[[ ! -d $h/keepfresh-$id ]] || find "$h/keepfresh-$id" -name cgroup.procs -exec cat {} + 2>/dev/null || true
	done | sort -un
}

clean() {
	local pids h i
	for ((i = 0; i < 300; i++)); do
		mapfile -t pids < <(processes)
		((${#pids[@]})) || break
		kill -KILL "${pids[@]}" 2>/dev/null || true
		sleep 0.1
	done
	((i < 300)) || die "these processes do not end: ${pids[*]}"
	! ip link show "kf-$id" >/dev/null 2>&1 || ip link delete "kf-$id" 2>/dev/null || true
	for h in $(hierarchies); do
		[[ ! -d $h/keepfresh-$id ]] || find "$h/keepfresh-$id" -depth -type d -exec rmdir {} +
	done
	# Mounts in it went with their namespace.
	[[ ! -d $dir ]] || find "$dir" -mindepth 1 -delete
}

# A proxy for the internet is none for the cluster.
export NO_PROXY=${NO_PROXY:+$NO_PROXY,}198.18.0.0/15
kube() { "$assets/kubectl" --kubeconfig "$dir/super-admin.conf" "$@"; }

# await SECONDS WHAT COMMAND...
await() {
	local limit=$1 what=$2 began=$SECONDS output
	shift 2
	until output=$("$@" 2>&1); do
		[[ -n $(processes) ]] || die "$(tail -n 1 "$dir/logs/node.log")"
		((SECONDS - began < limit)) || die "not true after $limit s: $what. $output"
		sleep 0.5
	done
	say "$what after $((SECONDS - began)) s"
}

up() {
	local bin began=$SECONDS
	prerequisites
	mkdir -p "$dir"
	[[ $(stat -f -c %T "$dir") != overlayfs ]] ||
		die "$dir is on overlayfs, which containers' files cannot be: choose a folder on a disk or tmpfs by --dir."
	exec 9<"$dir" # the folder itself is what is locked
	flock -n 9 || die "another cluster.sh is at work on $dir."
	if [[ -n $(processes) && -f $dir/kubeconfig ]]; then
		say "already up"
		echo "$dir/kubeconfig"
		return
	fi
	[[ -z $(ls -A "$dir") || -f $dir/.keepfresh-cluster ]] || die "$dir holds other files: choose another folder by --dir."

	trap 'failed' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	bin=$("$here/get.sh" 9<&-)
	assets=$("$here/../envtest/get.sh" 9<&-)
	assets=$(dirname "$(realpath "$assets/kube-apiserver")")
	clean # what an `up` left that was killed
	chmod 700 "$dir"
	touch "$dir/.keepfresh-cluster"
	mkdir -p "$dir/logs"
	ln -s "$bin" "$dir/bin"
	make_cgroups
	say "starting in $dir"
	(
		echo "$BASHPID" >"$(own)/cgroup.procs"
		exec 8</proc/self/ns/net 9<&- </dev/null >"$dir/logs/node.log" 2>&1
		exec setsid unshare --net --mount --uts --ipc -- unshare --pid --fork --kill-child --mount-proc -- \
			"$here/node.sh" "$dir" "$id" "$bin" "$assets" "$(<"$bin/coredns.version")"
	) &
	disown
	await 180 "the API server answers" kube get --raw /readyz
	# As kubeadm has them: RBAC makes the administrator, and not a group above it.
	kube create clusterrolebinding kubeadm:cluster-admins \
		--clusterrole cluster-admin --group kubeadm:cluster-admins >/dev/null
	kube create clusterrolebinding kubeadm:apiserver-kubelet-client \
		--clusterrole system:kubelet-api-admin --user kube-apiserver-kubelet-client >/dev/null
	coredns || die "CoreDNS cannot be installed (see above)."
	await 180 "the node is Ready" kube wait --for condition=Ready node --all --timeout 1s
	await 180 "CoreDNS is Ready" kube -n kube-system rollout status deployment coredns --timeout 1s
	await 60 "the default service account exists" kube get serviceaccount default
	probe
	cp "$dir/admin.conf" "$dir/kubeconfig"
	trap - EXIT
	say "up in $((SECONDS - began)) s"
	echo "$dir/kubeconfig"
}

# coredns: as kubeadm has it, but once, ready at once, and with an internet that has
# no names: it asks a server of its own, which says just that.
coredns() {
	"$bin/kubeadm" init phase addon coredns --config "$dir/kubeadm.yaml" --print-manifest |
		sed -e 's/replicas: 2/replicas: 1/' -e 's/^\( *\)readinessProbe:/&\n\1  periodSeconds: 1/' \
			-e 's|forward . /etc/resolv.conf|forward . 127.0.0.1:5353|' \
			-e 's/^\( *\)\.:53 {/\1.:5353 {\n\1    template ANY ANY {\n\1        rcode NXDOMAIN\n\1    }\n\1}\n&/' |
		kube apply -f - >/dev/null
}

# probe: a pod runs, may be entered, and finds the API server's Service by its name.
probe() {
	kube apply -f - >/dev/null <<-E
		apiVersion: v1
		kind: Pod
		metadata: {name: probe, namespace: default}
		spec:
		  terminationGracePeriodSeconds: 0
		  automountServiceAccountToken: false
		  containers:
		  - name: probe
		    image: keepfresh.dev/cluster/pause:1
	E
	await 120 "a pod runs" kube wait --for condition=Ready pod/probe --timeout 1s
	await 60 "DNS answers it" kube exec probe -- /pause lookup kubernetes.default.svc
	kube delete pod probe --now --wait >/dev/null
}

failed() {
	local code=$?
	trap - EXIT
	if ((code == 1)) && [[ -d $dir/logs ]]; then
		tail -n 5 "$dir"/logs/*.log >&2
		say "failed: the last lines of each log are above"
	fi
	say "taking it down"
	clean
	rmdir "$dir"
	exit "$code"
}

down() {
	[[ $(id -u) -eq 0 ]] || die "only root can take a cluster down."
	[[ ! -d $dir || -z $(ls -A "$dir") || -f $dir/.keepfresh-cluster ]] || die "$dir is not the state of a cluster."
	if [[ -d $dir ]]; then
		exec 9<"$dir"
		flock -n 9 || die "another cluster.sh is at work on $dir."
	fi
	clean
	[[ ! -d $dir ]] || rmdir "$dir"
	say "down"
}

running() {
	[[ -f $dir/kubeconfig && -n $(processes) ]] || die "there is no cluster in $dir: start it by $0 up."
}

load() {
	(($#)) || usage
	running
	local image output
	for image in "$@"; do
		[[ -r $image ]] || die "$image cannot be read: name the archive of an image."
		output=$("$dir/bin/ctr" --address "$dir/containerd.sock" --namespace k8s.io image import "$image" 2>&1) ||
			die "$image cannot be loaded: ${output##*$'\n'}"
		say "loaded $(awk '$2 == "saved" {print $1}' <<<"$output")"
	done
}

# enter COMMAND...
enter() {
	(($#)) || usage
	running
	exec nsenter --net="/proc/$(head -n1 "$(own)/cgroup.procs")/ns/net" -- "$@"
}

command=${1:-}
(($#)) && shift
dir=$here/../../bin/cluster
case ${1:-} in
--dir=*) dir=${1#*=} && shift ;;
--dir) dir=${2:-} && shift $(($# > 1 ? 2 : 1)) ;;
esac
[[ -n $dir ]] || usage
dir=$(realpath -m "$dir")
id=$(sha256sum <<<"$dir" | head -c 8)

case $command in
up | down)
	(($# == 0)) || usage
	$command
	;;
load) load "$@" ;;
exec) enter "$@" ;;
*) usage ;;
esac
