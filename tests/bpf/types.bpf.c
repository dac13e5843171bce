// SPDX-License-Identifier: GPL-2.0-only
/* A throw in each type of program that kfuncs can be registered for */
#include "test.h"

__u64 throws, reached, passed;

__subprog int throw_deep(__u64 x)
{
	volatile __u64 buf[4] = { x, x, x, x };

	reached++;
	if (throws)
		bpf_throw(buf[1]);
	passed++;
	return buf[2];
}

__subprog int cb_cookie(__u64 cookie)
{
	return cookie;
}

__subprog int cb_0(__u64 cookie)
{
	reached += cookie;
	return 0;
}

SEC("xdp") __test("xdp") __input(throws, 1) __returns(2) __expect(passed, 0)
int type_xdp(struct xdp_md *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	return throw_deep(2) + 1;
}

SEC("syscall") __test("syscall, which is sleepable") __input(throws, 1) __returns(77)
__expect(passed, 0)
int type_syscall(void *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	return throw_deep(77);
}

SEC("fentry/bpf_fentry_test1") __test("fentry, callback counts") __input(throws, 1)
__expect(reached, 101) __expect(passed, 0)
int BPF_PROG(type_fentry, int a)
{
	bpf_set_exception_callback(cb_0);
	throw_deep(100);
	return 0;
}

SEC("fexit/bpf_fentry_test1") __test("fexit") __input(throws, 1)
__expect(reached, 1) __expect(passed, 0)
int BPF_PROG(type_fexit, int a, int ret)
{
	throw_deep(100);
	return 0;
}

SEC("fmod_ret/security_task_getpgid") __test("fmod_ret: throws, and lets the call be")
__input(throws, 1) __expect(reached, 1) __expect(passed, 0)
int BPF_PROG(type_fmod_ret, struct task_struct *p, int ret)
{
	throw_deep(100);
	return -1;
}

SEC("lsm/task_getpgid") __test("lsm: throws, and the hook allows") __input(throws, 1)
__expect(reached, 1) __expect(passed, 0)
int BPF_PROG(type_lsm, struct task_struct *p)
{
	throw_deep(100);
	return 0;
}

SEC("lsm.s/task_getpgid") __test("lsm, sleepable") __input(throws, 1)
__refused("is not sleepable")
int BPF_PROG(type_lsm_sleepable, struct task_struct *p)
{
	throw_deep(100);
	return 0;
}

SEC("tc") __test("constant blinding, throw from a subprogram") __sysctl("net/core/bpf_jit_harden", 2)
__input(throws, 1) __returns(77) __expect(passed, 0)
int blinded(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	return throw_deep(77) + 0x12345;
}

SEC("tc") __test("constant blinding, a program of one function")
__sysctl("net/core/bpf_jit_harden", 2) __input(throws, 1) __returns(0)
int blinded_main(struct __sk_buff *ctx)
{
	if (throws)
		bpf_throw(0x12345);
	return 0x54321;
}

__u64 load_byte(void *skb, __u64 off) asm("llvm.bpf.load.byte");

__subprog int ld_abs_then_throw(struct __sk_buff *ctx, __u64 off)
{
	__u64 b = load_byte(ctx, off);

	if (throws)
		bpf_throw(b + 5);
	return b;
}

SEC("tc") __test("LD_ABS in a subprogram that throws: the byte is in the cookie")
__input(throws, 1) __returns(5)
int ld_abs(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	return ld_abs_then_throw(ctx, 20);
}

SEC("tc") __test("LD_ABS out of the packet ends the subprogram, not the program")
__input(throws, 1) __returns(9)
int ld_abs_out(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	return ld_abs_then_throw(ctx, 2000) + 9;
}

__subprog int ld_abs_always_throws(struct __sk_buff *ctx)
{
	__u64 b = load_byte(ctx, 2000);

	hide(b);
	return bpf_throw_returning(3);
}

SEC("tc") __test("LD_ABS out of the packet, then a throw on every path: main goes on")
__returns(9)
int ld_abs_always(struct __sk_buff *ctx)
{
	volatile int ret = 9;

	ld_abs_always_throws(ctx);
	return ret;
}

__global int ld_abs_global(struct __sk_buff *ctx)
{
	__u64 b = load_byte(ctx, 2000);

	hide(b);
	return bpf_throw_returning(3);
}

SEC("tc") __test("the same in a global function: its caller goes on") __returns(9)
int ld_abs_always_global(struct __sk_buff *ctx)
{
	volatile int ret = ld_abs_global(ctx) + 9;

	return ret;
}

/* Callbacks that do things */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, __u64);
} counts SEC(".maps");

__subprog int count(__u64 cookie)
{
	int zero = 0;
	__u64 *v = bpf_map_lookup_elem(&counts, &zero);

	if (v)
		__sync_fetch_and_add(v, cookie);
	return v ? *v : 0;
}

__subprog int cb_counts(__u64 cookie)
{
	return count(cookie) + count(1);
}

SEC("tc") __test("callback calls helpers and subprograms") __input(throws, 1) __returns(21)
int cb_helpers(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_counts);
	return throw_deep(10);
}

__subprog int unused(__u64 x)
{
	bpf_throw(x);
}

const volatile int never_set;

SEC("tc") __test("dead code elimination and renumbering don't lose the callback")
__input(throws, 1) __returns(33)
int cb_renumbered(struct __sk_buff *ctx)
{
	if (never_set)
		unused(1);
	bpf_set_exception_callback(cb_cookie);
	return throw_deep(33);
}

SEC("tc") __test("callback set on a branch that isn't taken") __input(throws, 1) __returns(34)
int cb_branch(struct __sk_buff *ctx)
{
	if (ctx->mark == 12345)
		bpf_set_exception_callback(cb_cookie);
	return throw_deep(34);
}

SEC("tc") __test("callback set on a branch that the verifier knows not to be taken")
__input(throws, 1) __returns(36)
int cb_dead_branch(struct __sk_buff *ctx)
{
	if (never_set)
		bpf_set_exception_callback(cb_cookie);
	return throw_deep(36);
}

SEC("tc") __test("callback set twice, once on such a branch")
__refused("can only be called once to set exception callback")
int cb_dead_branch_twice(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	if (never_set)
		bpf_set_exception_callback(cb_0);
	return throw_deep(36);
}

__subprog long loop_body(__u32 i, void *ctx)
{
	reached++;
	return 0;
}

SEC("tc") __test("bpf_loop(), inlined, before the callback is set (erased at the right place)")
__input(throws, 1) __returns(35)
int cb_after_loop(struct __sk_buff *ctx)
{
	bpf_loop(5, loop_body, NULL, 0);
	bpf_set_exception_callback(cb_cookie);
	return throw_deep(35);
}
