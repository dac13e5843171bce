// SPDX-License-Identifier: GPL-2.0-only
/*
 * What mainline does differently; tests/runner -b expects what mainline does.
 */
#include "../bpf/test.h"

__u64 throws, left;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

/* Mainline looks at the cookie's range only where it is thrown by main or a static function */
__global int global_throws(__u32 cookie)
{
	if (cookie != 123456)
		bpf_throw(64);
	return 0;
}

SEC("fentry/bpf_fentry_test1") __test("a global function throws what fentry may not return")
__exception_default_cookie __refused("At program exit the register R1 has") __bare_returns(0)
int BPF_PROG(range, int a)
{
	global_throws(a);
	return 0;
}

__subprog int always_throws(__u64 cookie)
{
	bpf_throw(cookie);
}

SEC("tc") __test("a function ends in a call that never returns") __exception_default_cookie
__returns(64) __bare_refused("last insn is not an exit or jmp")
int ends_in_call(struct __sk_buff *ctx)
{
	if (!throws)
		always_throws(64);
	return 1;
}

__subprog int may_throw(__u64 cookie)
{
	if (!throws)
		bpf_throw(cookie);
	return 1;
}

SEC("fexit/may_throw") __on(may_throw) int BPF_PROG(leave)
{
	left++;
	return 0;
}

/* 6.12.117 panics: it isn't run there */
SEC("tc") __test("fexit on a function that throws") __exception_default_cookie __with(leave)
__returns(64) __expect(left, 0)
int fexit_attached(struct __sk_buff *ctx)
{
	return may_throw(64);
}

__global int global_may_throw(__u64 cookie)
{
	if (!throws)
		bpf_throw(cookie);
	return 1;
}

#define HOLDS(name, func)							\
int name(struct __sk_buff *ctx)							\
{										\
	__u64 *record = bpf_ringbuf_reserve(&ring, 8, 0);			\
	int ret;								\
										\
	if (!record)								\
		return 2;							\
	ret = func(64);								\
	*record = ret;								\
	bpf_ringbuf_submit(record, 0);						\
	return ret;								\
}

SEC("tc") __test("a function throws while its caller holds a record") __exception_default_cookie
__returns(64) __bare_refused("Unreleased reference")
HOLDS(held_static, may_throw)

/* Mainline loses the record: it is neither submitted nor discarded */
SEC("tc") __test("a global function throws while its caller holds a record") __exception_default_cookie
__returns(64) __bare_returns(64)
HOLDS(held_global, global_may_throw)

static long throwing_callback(__u32 index, void *unused)
{
	if (index == 3)
		bpf_throw(64 + index);
	return 0;
}

SEC("tc") __test("the callback of bpf_loop() throws") __exception_default_cookie __returns(67)
__bare_refused("cannot be called from callback subprog")
int loop(struct __sk_buff *ctx)
{
	bpf_loop(10, throwing_callback, NULL, 0);
	return 1;
}
