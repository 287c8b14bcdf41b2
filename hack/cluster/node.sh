#!/usr/bin/env bash
# Copyright 2026 The Keepfresh Authors.
# SPDX-License-Identifier: Apache-2.0
#
# The cluster's machine, as cluster.sh starts it: the first process of a PID
# namespace, with network, mount, UTS and IPC namespaces of its own. When it
# ends, so does everything that it started. It ends when a program does: nothing
# is started again behind a test's back.
#
#   node.sh DIR ID BIN ASSETS COREDNS      descriptor 8 is the host's network
set -euo pipefail
shopt -s inherit_errexit

dir=$1 id=$2 bin=$3 assets=$4 coredns=$5
cgroup=/keepfresh-$id
here=$(cd "$(dirname "$0")" && pwd)
. "$here/config.sh"
export PATH=$bin:$assets:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export TMPDIR=$dir/tmp HOME=$dir
unset KUBECONFIG "${!http@}" "${!HTTP@}"

say() { echo "node: $*"; }

# What programs write outside of $dir stays inside of this namespace.
files() {
	local d
	mount --make-rshared /
	mount -t tmpfs -o mode=755 tmpfs /run
	for d in etc var/lib var/log; do
		mkdir -p "$dir/overlay/$d" "$dir/overlay/.work/$d"
		mount -t overlay -o "lowerdir=/$d,upperdir=$dir/overlay/$d,workdir=$dir/overlay/.work/$d" overlay "/$d"
	done
	mkdir -p "$TMPDIR" "$dir/logs/pods" "$dir/cni"

	# The kubelet insists on these settings, and they are the whole machine's: it
	# gets files that it may set.
	local sysctl
	for sysctl in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
		kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
		mkdir -p "$dir/sysctl/${sysctl%/*}"
		cat "/proc/sys/$sysctl" >"$dir/sysctl/$sysctl"
		mount --bind "$dir/sysctl/$sysctl" "/proc/sys/$sysctl"
	done
}

# A link to the host: 198.18.N.1 there, and 198.18.N.2 here, for the first N that
# is free (RFC 2544 gives 198.18.0.0/15 to tests, so no network uses it).
network() {
	local n host=(nsenter --net=/proc/self/fd/8)
	exec 7</sys/fs/cgroup # any folder that clusters share, as a lock
	flock 7
	for n in {0..255}; do
		[[ -n $("${host[@]}" ip -o -4 address show to "198.18.$n.0/30") ]] || break
	done
	address=198.18.$n.2
	ip link add eth0 type veth peer name "kf-$id" netns /proc/self/fd/8
	"${host[@]}" ip address add "198.18.$n.1/30" dev "kf-$id"
	exec 7<&-
	"${host[@]}" ip link set "kf-$id" up
	ip link set lo up
	ip address add "$address/30" dev eth0
	ip link set eth0 up
	ip route add default via "198.18.$n.1"
	sysctl -qw net.ipv4.ip_forward=1
	# Or the answer of a Service's pod to its neighbour would bypass the Service.
	sysctl -qw net.bridge.bridge-nf-call-iptables=1
	echo "$address" >"$dir/address"

	hostname "$node"
	echo "$address $node" >>/etc/hosts
	: >"$dir/resolv.conf" # nothing but the cluster's own DNS
	exec 8<&-
}

# start NAME COMMAND...
declare -A names
start() {
	local name=$1
	shift
	"$@" >>"$dir/logs/$name.log" 2>&1 </dev/null &
	names[$!]=$name
}

# await NAME COMMAND...: until COMMAND succeeds, or a program ends.
await() {
	local name=$1 began=$SECONDS pid
	shift
	until "$@" >/dev/null 2>&1; do
		for pid in "${!names[@]}"; do
			kill -0 "$pid" 2>/dev/null || ended "$pid"
		done
		sleep 0.2
	done
	say "$name is ready after $((SECONDS - began)) s"
}

ended() {
	say "${names[$1]} ended, and with it the cluster: see $dir/logs/${names[$1]}.log"
	exit 1
}

certificates() {
	kubeadm_yaml >"$dir/kubeadm.yaml"
	kubeadm init phase certs all --config "$dir/kubeadm.yaml"
	kubeadm init phase kubeconfig all --config "$dir/kubeadm.yaml" --kubeconfig-dir "$dir"
	kubeadm kubeconfig user --config "$dir/kubeadm.yaml" --client-name system:kube-proxy >"$dir/proxy.conf"
}

control_plane() {
	local pki=$dir/pki
	# Without fsync, for nobody needs this data after a power cut.
	start etcd etcd --name "$node" --data-dir "$dir/etcd" --unsafe-no-fsync \
		--listen-client-urls https://127.0.0.1:2379 --advertise-client-urls https://127.0.0.1:2379 \
		--listen-peer-urls https://127.0.0.1:2380 --initial-advertise-peer-urls https://127.0.0.1:2380 \
		--initial-cluster "$node=https://127.0.0.1:2380" \
		--client-cert-auth --trusted-ca-file "$pki/etcd/ca.crt" \
		--cert-file "$pki/etcd/server.crt" --key-file "$pki/etcd/server.key" \
		--peer-client-cert-auth --peer-trusted-ca-file "$pki/etcd/ca.crt" \
		--peer-cert-file "$pki/etcd/peer.crt" --peer-key-file "$pki/etcd/peer.key"
	start kube-apiserver kube-apiserver --advertise-address "$address" --secure-port 6443 --allow-privileged \
		--authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --enable-bootstrap-token-auth \
		--etcd-servers https://127.0.0.1:2379 --etcd-cafile "$pki/etcd/ca.crt" \
		--etcd-certfile "$pki/apiserver-etcd-client.crt" --etcd-keyfile "$pki/apiserver-etcd-client.key" \
		--client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
		--kubelet-client-certificate "$pki/apiserver-kubelet-client.crt" \
		--kubelet-client-key "$pki/apiserver-kubelet-client.key" \
		--kubelet-preferred-address-types InternalIP,Hostname \
		--proxy-client-cert-file "$pki/front-proxy-client.crt" --proxy-client-key-file "$pki/front-proxy-client.key" \
		--requestheader-client-ca-file "$pki/front-proxy-ca.crt" --requestheader-allowed-names front-proxy-client \
		--requestheader-extra-headers-prefix X-Remote-Extra- --requestheader-group-headers X-Remote-Group \
		--requestheader-username-headers X-Remote-User \
		--service-account-issuer https://kubernetes.default.svc.cluster.local \
		--service-account-key-file "$pki/sa.pub" --service-account-signing-key-file "$pki/sa.key" \
		--service-cluster-ip-range "$services"
	await kube-apiserver kubectl --kubeconfig "$dir/super-admin.conf" get --raw /readyz
	start kube-controller-manager kube-controller-manager --leader-elect=false --use-service-account-credentials \
		--kubeconfig "$dir/controller-manager.conf" --authentication-kubeconfig "$dir/controller-manager.conf" \
		--authorization-kubeconfig "$dir/controller-manager.conf" \
		--client-ca-file "$pki/ca.crt" --requestheader-client-ca-file "$pki/front-proxy-ca.crt" \
		--root-ca-file "$pki/ca.crt" --service-account-private-key-file "$pki/sa.key" \
		--cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
		--allocate-node-cidrs --cluster-cidr "$pods" --service-cluster-ip-range "$services" \
		--flex-volume-plugin-dir "$dir/kubelet/plugins" --controllers '*,bootstrap-signer-controller,token-cleaner-controller'
	start kube-scheduler kube-scheduler --leader-elect=false --kubeconfig "$dir/scheduler.conf" \
		--authentication-kubeconfig "$dir/scheduler.conf" --authorization-kubeconfig "$dir/scheduler.conf"
}

runtime() {
	local image
	containerd_toml >"$dir/containerd.toml"
	cni_conflist >"$dir/cni/10-keepfresh.conflist"
	start containerd containerd --config "$dir/containerd.toml"
	await containerd ctr --address "$dir/containerd.sock" version
	for image in pause coredns; do
		ctr --address "$dir/containerd.sock" --namespace k8s.io image import "$bin/$image.tar"
	done
}

workers() {
	kubelet_yaml >"$dir/kubelet.yaml"
	kube_proxy_yaml >"$dir/kube-proxy.yaml"
	start kubelet kubelet --config "$dir/kubelet.yaml" --kubeconfig "$dir/kubelet.conf" --root-dir "$dir/kubelet" \
		--cert-dir "$dir/kubelet/pki" --node-ip "$address" --hostname-override "$node"
	start kube-proxy kube-proxy --config "$dir/kube-proxy.yaml"
}

files
network
certificates
runtime
control_plane
workers
wait -n -p pid || true
ended "$pid"
