// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs whose throws tests/trace/trace.c looks at through the trace event. They are of a
 * type that bpf_exceptions_test.ko runs in any context.
 */
#include "../bpf/test.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} jmp_table SEC(".maps");

struct { __u64 cookie, callbacks, noticed; } vars;

__subprog int callback(__u64 cookie)
{
	vars.callbacks++;
	return cookie * 2;
}

/* --- from each depth, with and without a callback -------------------------------------- */

#define FRAME(n, deeper)					\
__subprog int depth##n(struct xdp_md *ctx, __u64 a)		\
{								\
	volatile __u64 kept = a + n;				\
								\
	return deeper + kept;					\
}

__subprog int depth7(struct xdp_md *ctx, __u64 a)
{
	bpf_throw(a);
}

FRAME(6, depth7(ctx, a))
FRAME(5, depth6(ctx, a))
FRAME(4, depth5(ctx, a))
FRAME(3, depth4(ctx, a))
FRAME(2, depth3(ctx, a))
FRAME(1, depth2(ctx, a))

#define THROWS(name, call)					\
SEC("xdp") int name(struct xdp_md *ctx)				\
{								\
	return call + 1;					\
}								\
SEC("xdp") int name##_cb(struct xdp_md *ctx)			\
{								\
	bpf_set_exception_callback(callback);			\
	return call + 1;					\
}

__subprog int thrower(__u64 a)
{
	bpf_throw(a);
}

SEC("xdp") int from_main(struct xdp_md *ctx)
{
	bpf_throw(vars.cookie);
}

SEC("xdp") int from_main_cb(struct xdp_md *ctx)
{
	bpf_set_exception_callback(callback);
	bpf_throw(vars.cookie);
}

THROWS(from_1, thrower(vars.cookie))
THROWS(from_7, depth1(ctx, vars.cookie))

/* --- through and from other programs ----------------------------------------------------- */

SEC("?fexit") int BPF_PROG(watch_depth3)
{
	return 0;
}

SEC("xdp") int tail_caller(struct xdp_md *ctx)
{
	bpf_tail_call_static(ctx, &jmp_table, 0);
	return 0;
}

__global int replaced(struct xdp_md *ctx)
{
	volatile int ret = 5;

	return ret;
}

SEC("xdp") int replaced_in(struct xdp_md *ctx)
{
	return replaced(ctx) + 100;
}

SEC("?freplace") int replacement(struct xdp_md *ctx)
{
	bpf_set_exception_callback(callback);
	return thrower(77);
}

/* --- on the event itself ------------------------------------------------------------------ */

SEC("?tp_btf/bpf_throw") int BPF_PROG(notice, const void *aux, __u64 cookie)
{
	__sync_fetch_and_add(&vars.noticed, 1);
	return 0;
}

SEC("?tp_btf/bpf_throw") int BPF_PROG(notice_throws, const void *aux, __u64 cookie)
{
	__sync_fetch_and_add(&vars.noticed, 1);
	bpf_throw(1);
}

SEC("?tp_btf/bpf_throw") int BPF_PROG(notice_throws_too, const void *aux, __u64 cookie)
{
	__sync_fetch_and_add(&vars.noticed, 1);
	bpf_throw(2);
}
