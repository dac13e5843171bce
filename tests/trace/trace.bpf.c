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

struct { __u64 cookie, callbacks, noticed, told; } vars; /* as in trace.h */

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

/* Through two helpers, with a function of the program between them */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} one_element SEC(".maps");

__subprog long on_element(void *map, __u32 *key, __u64 *value, void *ctx)
{
	thrower(vars.cookie);
	return 0;
}

__subprog long on_round(__u32 i, void *ctx)
{
	return bpf_for_each_map_elem(&one_element, on_element, NULL, 0) > 1;
}

__subprog int loops(__u64 a)
{
	volatile __u64 kept = a;

	/* flags that aren't known to be 0, or the loop is inlined */
	return bpf_loop(1, on_round, NULL, bpf_ktime_get_ns() >> 63) + kept;
}

THROWS(from_helpers, loops(vars.cookie))

SEC("xdp") __tag("exception_default:cookie") int from_1_cookie(struct xdp_md *ctx)
{
	return thrower(vars.cookie) + 1;
}

/* --- through and from other programs ----------------------------------------------------- */

SEC("?fexit") int BPF_PROG(watch)
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

/* --- whose stack is looked at ------------------------------------------------------------- */

/* Each may return, so that no call of one is the last instruction of its caller */
__subprog int maybe4(__u64 a)
{
	if (a)
		bpf_throw(a);
	return 1;
}

#define MAYBE(n, deeper)					\
__subprog int maybe##n(__u64 a)					\
{								\
	int ret = deeper(a);					\
								\
	hide(ret);						\
	return ret + 1;						\
}

MAYBE(3, maybe4)
MAYBE(2, maybe3)
MAYBE(1, maybe2)

THROWS(maybe, maybe1(vars.cookie))

void bpf_test_nest(void) __ksym;

/* As much stack as there may be: 64 bytes in each frame, more in the callback */
#define FILL(name)						\
	volatile __u64 name[7];					\
								\
	for (int i = 0; i < 7; i++)				\
		name[i] = i

__subprog int deep7(__u64 a)
{
	FILL(filled);
	bpf_test_nest();
	if (a)
		bpf_throw(a);
	return filled[1];
}

#define DEEP(n, deeper)						\
__subprog int deep##n(__u64 a)					\
{								\
	FILL(filled);						\
	return deeper(a) + filled[1];				\
}

DEEP(6, deep7)
DEEP(5, deep6)
DEEP(4, deep5)
DEEP(3, deep4)
DEEP(2, deep3)
DEEP(1, deep2)

__subprog int deep_callback(__u64 cookie)
{
	volatile __u64 filled[60];

	for (int i = 0; i < 60; i++)
		filled[i] = cookie;
	bpf_test_nest();
	return filled[7];
}

SEC("xdp") int deep(struct xdp_md *ctx)
{
	FILL(filled);
	bpf_set_exception_callback(deep_callback);
	return deep1(vars.cookie) + filled[1];
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

SEC("?tp_btf/bpf_exception_callback") int BPF_PROG(notice_callback, const void *aux, __u64 cookie,
						   __u64 ret, __u64 key)
{
	__sync_fetch_and_add(&vars.noticed, 1);
	vars.told = (int)ret;
	return 0;
}

SEC("?tp_btf/bpf_exception_callback") int BPF_PROG(notice_callback_throws)
{
	bpf_set_exception_callback(callback);
	__sync_fetch_and_add(&vars.noticed, 1);
	bpf_throw(1);
}

SEC("?tp_btf/bpf_exception_callback") int BPF_PROG(notice_callback_throws_too)
{
	bpf_set_exception_callback(callback);
	__sync_fetch_and_add(&vars.noticed, 1);
	bpf_throw(2);
}

#define STACK_ENTRIES 64

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, __u64[STACK_ENTRIES]);
} stack SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__type(key, int);
	__type(value, __u64[STACK_ENTRIES]);
} stacks SEC(".maps");

SEC("?tp_btf/bpf_throw") int get_stack(void *ctx)
{
	int zero = 0;
	__u64 *at = bpf_map_lookup_elem(&stack, &zero);
	long len = at ? bpf_get_stack(ctx, at, STACK_ENTRIES * sizeof(*at), 0) : -1;

	vars.told = len < 0 ? len : zero;
	return 0;
}

SEC("?raw_tp/bpf_throw") int get_stackid(void *ctx)
{
	vars.told = bpf_get_stackid(ctx, &stacks, BPF_F_REUSE_STACKID);
	return 0;
}

/* --- that holds something ------------------------------------------------------------------- */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

__subprog int holds_one(struct xdp_md *ctx, __u64 a)
{
	void *record = bpf_ringbuf_reserve(&records, 8, 0);
	int ret;

	if (!record)
		return 1;
	ret = thrower(a);
	bpf_ringbuf_discard(record, 0);
	return ret;
}

SEC("xdp") int holds_two(struct xdp_md *ctx)
{
	void *record = bpf_ringbuf_reserve(&records, 8, 0);
	int ret;

	bpf_set_exception_callback(callback);
	if (!record)
		return 1;
	ret = holds_one(ctx, vars.cookie);
	bpf_ringbuf_discard(record, 0);
	return ret;
}
