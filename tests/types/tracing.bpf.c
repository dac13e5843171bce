// SPDX-License-Identifier: GPL-2.0-only
/* Programs that watch the kernel, or are called by name */
#include "types.bpf.h"
#include <bpf/bpf_tracing.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, int);
	__type(value, __u64);
} three SEC(".maps");

HOOK(kprobe, "kprobe", void *)
HOOK(kretprobe, "kretprobe", void *)
HOOK(kprobe_int3, "kprobe", void *)
HOOK(kprobe_multi, "kprobe.multi", void *)
HOOK(kretprobe_multi, "kretprobe.multi", void *)
HOOK(uprobe, "uprobe", void *)
HOOK(uretprobe, "uretprobe", void *)
HOOK(uprobe_sleepable, "uprobe.s", void *)
HOOK(tracepoint, "tp", void *)
HOOK(raw_tp, "raw_tp/task_rename", void *)
HOOK(perf_timer, "perf_event", void *)
HOOK(perf_breakpoint, "perf_event", void *)

/* The error that the test run ends with: EDOM */
#define SET_ERROR *(int *)ctx->args[0] = -33;
HOOK(raw_tp_writable, "raw_tp.w/bpf_test_finish", struct bpf_raw_tracepoint_args *, SET_ERROR)

HOOK(tp_btf, "tp_btf/task_rename", void *)
HOOK(fentry, "fentry/__x64_sys_getsid", void *)
HOOK(fentry_sleepable, "fentry.s/__x64_sys_getsid", void *)
HOOK(fexit, "fexit/__x64_sys_getsid", void *)
HOOK(fmod_ret, "fmod_ret/security_task_getsid", void *)
HOOK(lsm, "lsm/task_getsid", void *)
HOOK(lsm_sleepable, "lsm.s/inode_symlink", void *)
HOOK(syscall, "syscall", void *)
HOOK(lirc_mode2, "lirc_mode2", unsigned int *)

/* Parts of the kernel's, by name */
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));
struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
} __attribute__((preserve_access_index));

/* One letter per element, and one for the end */
#define PRINT_X					\
	char letter = 'x';			\
	bpf_seq_write(ctx->meta->seq, &letter, 1);
HOOK(iter, "iter/bpf_map_elem", struct bpf_iter__bpf_map_elem *, PRINT_X)

/* Congestion control; what one sees of it is how buffers are sized */
struct sock;
struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	__u32 (*sndbuf_expand)(struct sock *sk);
	char name[16];
};

SEC("struct_ops/ssthresh") __u32 BPF_PROG(ssthresh, struct sock *sk)
{
	return 2;
}

SEC("struct_ops/cong_avoid") void BPF_PROG(cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
}

SEC("struct_ops/undo_cwnd") __u32 BPF_PROG(undo_cwnd, struct sock *sk)
{
	return 2;
}

HOOK(struct_ops, "struct_ops/sndbuf_expand", void *)

#define CONGESTION_CONTROL(variable, sndbuf)		\
	SEC(".struct_ops")				\
	struct tcp_congestion_ops variable = {		\
		.ssthresh = (void *)ssthresh,		\
		.cong_avoid = (void *)cong_avoid,	\
		.undo_cwnd = (void *)undo_cwnd,		\
		.sndbuf_expand = (void *)sndbuf,	\
		.name = "types",			\
	}

CONGESTION_CONTROL(ops_struct_ops, on_struct_ops);
CONGESTION_CONTROL(ops_struct_ops_cb, on_struct_ops_cb);

/* For functions that are called only to be watched */
SEC("xdp") int nothing(struct xdp_md *ctx)
{
	return 0;
}
