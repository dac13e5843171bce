// SPDX-License-Identifier: GPL-2.0-only
/* Programs of tests/special/hooks.c, for hooks that a test run doesn't reach */
#include "test.h"

__u64 throws, passed;

__subprog int throw_deep(__u64 cookie)
{
	volatile __u64 buf[4] = { cookie };

	throws++;
	bpf_assert_eq_value(buf[0], cookie + 1, cookie);
	passed++;
	return 1;
}

__subprog int allow(__u64 cookie)
{
	return cookie == 5;
}

struct sock;

/* A part of the kernel, by name */
struct tcp_congestion_ops {
	void (*init)(struct sock *sk);
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
};

SEC("struct_ops/thrower_init")
void BPF_PROG(thrower_init, struct sock *sk)
{
	throw_deep(3);
}

SEC("struct_ops/thrower_ssthresh")
__u32 BPF_PROG(thrower_ssthresh, struct sock *sk)
{
	return 2;
}

SEC("struct_ops/thrower_cong_avoid")
void BPF_PROG(thrower_cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
}

SEC("struct_ops/thrower_undo_cwnd")
__u32 BPF_PROG(thrower_undo_cwnd, struct sock *sk)
{
	return 2;
}

SEC(".struct_ops")
struct tcp_congestion_ops thrower = {
	.init = (void *)thrower_init,
	.ssthresh = (void *)thrower_ssthresh,
	.cong_avoid = (void *)thrower_cong_avoid,
	.undo_cwnd = (void *)thrower_undo_cwnd,
	.name = "thrower",
};

SEC("lsm_cgroup/task_getpgid")
int BPF_PROG(cgroup_default, void *p)
{
	return throw_deep(4);
}

SEC("lsm_cgroup/task_getpgid")
int BPF_PROG(cgroup_callback, void *p)
{
	bpf_set_exception_callback(allow);
	return throw_deep(5);
}
