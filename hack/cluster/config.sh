# Sourced by node.sh: the configuration of each program, for a cluster whose
# state is in $dir, whose node has $address, and whose pods are in $cgroup.

# Only in the cluster's own network, so that clusters may have the same.
pods=10.244.0.0/24
services=10.96.0.0/16
dns=10.96.0.10
node=keepfresh-node

kubeadm_yaml() {
	cat <<-E
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: InitConfiguration
		localAPIEndpoint: {advertiseAddress: $address, bindPort: 6443}
		nodeRegistration: {name: $node, criSocket: "unix://$dir/containerd.sock"}
		---
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: ClusterConfiguration
		kubernetesVersion: $("$bin/kubeadm" version -o short)
		clusterName: keepfresh
		certificatesDir: $dir/pki
		encryptionAlgorithm: ECDSA-P256
		networking: {podSubnet: $pods, serviceSubnet: $services, dnsDomain: cluster.local}
		dns: {imageRepository: keepfresh.dev/cluster, imageTag: "$coredns"}
	E
}

containerd_toml() {
	# Without CAP_SYS_RESOURCE nobody may lower an oom_score_adj.
	local restrict=false
	capable 24 || restrict=true
	cat <<-E
		version = 3
		root = "$dir/containerd"
		state = "/run/containerd"
		[grpc]
		address = "$dir/containerd.sock"
		[plugins."io.containerd.internal.v1.opt"]
		path = "$dir/opt"
		[plugins."io.containerd.cri.v1.images"]
		snapshotter = "overlayfs"
		[plugins."io.containerd.cri.v1.images".pinned_images]
		sandbox = "keepfresh.dev/cluster/pause:1"
		[plugins."io.containerd.cri.v1.runtime"]
		restrict_oom_score_adj = $restrict
		[plugins."io.containerd.cri.v1.runtime".cni]
		bin_dirs = ["$bin"]
		conf_dir = "$dir/cni"
		[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
		runtime_type = "io.containerd.runc.v2"
		runtime_path = "$bin/containerd-shim-runc-v2"
		[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
		SystemdCgroup = false
	E
}

# capable BIT: whether we have the capability, as capability.h counts them.
capable() {
	local mask
	mask=$(sed -n 's/^CapEff:\s*//p' /proc/self/status)
	((0x$mask >> $1 & 1))
}

cni_conflist() {
	cat <<-E
		{
		  "cniVersion": "1.0.0",
		  "name": "keepfresh",
		  "plugins": [
		    {
		      "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
		      "ipMasq": true, "ipMasqBackend": "nftables",
		      "ipam": {
		        "type": "host-local", "dataDir": "/run/cni-addresses",
		        "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]
		      }
		    },
		    {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables"}
		  ]
		}
	E
}

kubelet_yaml() {
	cat <<-E
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		authentication:
		  anonymous: {enabled: false}
		  webhook: {enabled: true}
		  x509: {clientCAFile: $dir/pki/ca.crt}
		authorization: {mode: Webhook}
		cgroupDriver: cgroupfs
		cgroupRoot: $cgroup
		failCgroupV1: false
		clusterDNS: [$dns]
		clusterDomain: cluster.local
		containerRuntimeEndpoint: unix://$dir/containerd.sock
		resolvConf: $dir/resolv.conf
		podLogsDir: $dir/logs/pods
		volumePluginDir: $dir/kubelet/plugins
		# A machine that also does other things may be short of disk, or swap.
		failSwapOn: false
		imageGCHighThresholdPercent: 100
		evictionHard:
		  memory.available: "0%"
		  nodefs.available: "0%"
		  nodefs.inodesFree: "0%"
		  imagefs.available: "0%"
		  imagefs.inodesFree: "0%"
		# A test waits for what the kubelet notices.
		syncFrequency: 10s
		nodeStatusUpdateFrequency: 5s
	E
}

kube_proxy_yaml() {
	cat <<-E
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		mode: nftables
		clusterCIDR: $pods
		clientConnection: {kubeconfig: $dir/proxy.conf}
		hostnameOverride: $node
		# These limits belong to the machine, and not to a network namespace.
		conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
	E
}
