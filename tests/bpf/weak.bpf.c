// SPDX-License-Identifier: GPL-2.0-only
/*
 * One object for kernels with and without exceptions. The kfuncs are weak; the programs check
 * their address, or a flag that the loader sets. What to expect without the module has its own
 * tags, see tests/runner.c.
 */
#define BPF_EXCEPTIONS_WEAK
#include "test.h"

/* As vmlinux.h of later kernels has it, before or after the header */
extern void bpf_throw(__u64 cookie) __weak __ksym;

const volatile _Bool have_exceptions;

__subprog int cb_plus_one(__u64 cookie)
{
	return cookie + 1;
}

SEC("tc") __test("a weak bpf_throw(), asked for by its address, in the middle") __returns(0)
__bare_returns(77)
int weak_middle(struct __sk_buff *ctx)
{
	if (ctx->len > 10) {
		if (bpf_exceptions_exist())
			bpf_throw(1);
		return 77;
	}
	return 5;
}

__subprog int throws_last(struct __sk_buff *ctx)
{
	if (!bpf_exceptions_exist())
		return 78;
	if (ctx->len < 10)
		return 1;
	return bpf_throw_returning(1);
}

SEC("tc") __test("... in a subprogram, in its last instruction") __returns(0) __bare_returns(78)
int weak_last(struct __sk_buff *ctx)
{
	return throws_last(ctx);
}

/* In assembly, where nothing follows the throw */
__attribute__((naked)) static void only_throws(void)
{
	asm volatile("r1 = 3; call %[bpf_throw]" : : __imm(bpf_throw));
}

SEC("tc") __test("... in a function that always throws") __returns(0) __bare_returns(79)
int weak_always(struct __sk_buff *ctx)
{
	if (!bpf_exceptions_exist())
		return 79;
	only_throws();
	return 80;
}

SEC("tc") __test("by a flag in constant data") __flag(have_exceptions) __returns(4)
__bare_returns(77)
int weak_flag(struct __sk_buff *ctx)
{
	if (have_exceptions)
		bpf_set_exception_callback(cb_plus_one);
	if (!have_exceptions)
		return 77;
	bpf_assert_lt_value(ctx->len, 10, 3);
	return 5;
}

SEC("tc") __test("a weak bpf_throw() that is live") __returns(0)
__bare_refused("invalid kernel function call not eliminated in verifier pass")
__bare_refused("load the module that has it")
int weak_live(struct __sk_buff *ctx)
{
	if (ctx->len > 10)
		bpf_throw(1);
	return 5;
}

SEC("tc") __test("a weak bpf_set_exception_callback() that is live") __returns(3)
__bare_refused("load the module that has it")
int weak_set_live(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_plus_one);
	if (bpf_exceptions_exist() && ctx->len > 10)
		bpf_throw(2);
	return 5;
}
