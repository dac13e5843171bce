// SPDX-License-Identifier: GPL-2.0-only
/* Programs that are attached to a cgroup */
#include "types.bpf.h"

HOOK(ingress, "cgroup_skb/ingress", struct __sk_buff *)
HOOK(egress, "cgroup_skb/egress", struct __sk_buff *)
HOOK(sock_create, "cgroup/sock_create", struct bpf_sock *)
HOOK(sock_release, "cgroup/sock_release", struct bpf_sock *)
HOOK(post_bind4, "cgroup/post_bind4", struct bpf_sock *)
HOOK(post_bind6, "cgroup/post_bind6", struct bpf_sock *)
HOOK(bind4, "cgroup/bind4", struct bpf_sock_addr *)
HOOK(bind6, "cgroup/bind6", struct bpf_sock_addr *)
HOOK(connect4, "cgroup/connect4", struct bpf_sock_addr *)
HOOK(connect6, "cgroup/connect6", struct bpf_sock_addr *)
HOOK(sendmsg4, "cgroup/sendmsg4", struct bpf_sock_addr *)
HOOK(sendmsg6, "cgroup/sendmsg6", struct bpf_sock_addr *)
HOOK(recvmsg4, "cgroup/recvmsg4", struct bpf_sock_addr *)
HOOK(recvmsg6, "cgroup/recvmsg6", struct bpf_sock_addr *)
HOOK(getpeername4, "cgroup/getpeername4", struct bpf_sock_addr *)
HOOK(getpeername6, "cgroup/getpeername6", struct bpf_sock_addr *)
HOOK(getsockname4, "cgroup/getsockname4", struct bpf_sock_addr *)
HOOK(getsockname6, "cgroup/getsockname6", struct bpf_sock_addr *)
HOOK(getsockopt, "cgroup/getsockopt", struct bpf_sockopt *)
HOOK(setsockopt, "cgroup/setsockopt", struct bpf_sockopt *)
HOOK(sysctl, "cgroup/sysctl", struct bpf_sysctl *)
HOOK(device, "cgroup/dev", struct bpf_cgroup_dev_ctx *)

/* A connection asks for ECN if the program says so, and returns 1 */
#define ASK_FOR_ECN				\
	if (ctx->op != BPF_SOCK_OPS_NEEDS_ECN)	\
		return 1;			\
	ctx->reply = 1;
HOOK(sock_ops, "sockops", struct bpf_sock_ops *, ASK_FOR_ECN)

HOOK(lsm_cgroup, "lsm_cgroup/task_getsid", void *)
HOOK(lsm_cgroup_void, "lsm_cgroup/task_to_inode", void *)
