// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may follow a call that never returns, and what may not. In assembly, since no compiler
 * would emit most of this.
 */
#include "test.h"

__u64 throws;

#define __asm_subprog	__attribute__((naked, noinline)) static
#define __asm_global	__attribute__((naked, noinline))
#define __asm_main	__attribute__((naked))

#define ASM(code) asm volatile(code : : __imm(bpf_throw), __imm(never), __imm(never_nested),	\
			       __imm(global_never), __imm(may_return) : "memory")

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} array SEC(".maps");

__subprog int cb_cookie(__u64 cookie)
{
	return cookie;
}

__asm_subprog void may_return(void)
{
	asm volatile("if r1 == 0 goto +2; r1 = 9; call %[bpf_throw]; r0 = 0; exit"
		     : : __imm(bpf_throw));
}

__asm_subprog void never(void)
{
	asm volatile("r1 = 8; call %[bpf_throw]" : : __imm(bpf_throw));
}

__asm_subprog void never_nested(void)
{
	asm volatile("call %[never]" : : __imm(never));
}

__asm_global int global_never(void)
{
	asm volatile("r1 = 8; call %[bpf_throw]" : : __imm(bpf_throw));
}

__asm_global int global_never_nested(void)
{
	asm volatile("r1 = 0; call %[global_never]" : : __imm(global_never));
}

/* The last instruction of main, of static and of global subprograms is a plain call */

SEC("tc") __test("bpf_throw is main's last instruction") __returns(0)
__asm_main int last_throw(void)
{
	ASM("r1 = 5; call %[bpf_throw]");
}

SEC("tc") __test("call of a static subprogram that never returns is main's last instruction")
__returns(0)
__asm_main int last_static(void)
{
	ASM("call %[never]");
}

SEC("tc") __test("... of one that calls one") __returns(0)
__asm_main int last_nested(void)
{
	ASM("call %[never_nested]");
}

SEC("tc") __test("... of a global one") __returns(0)
__asm_main int last_global(void)
{
	ASM("r1 = 0; call %[global_never]");
}

SEC("tc") __test("... of a global one that calls a global one") __returns(0)
__asm_main int last_global_nested(void)
{
	asm volatile("r1 = 0; call %[global_never_nested]" : : __imm(global_never_nested));
}

SEC("tc") __test("last calls on two branches, one in the middle") __returns(0)
__asm_main int last_two(void)
{
	ASM("r2 = *(u32 *)(r1 + 0); if r2 == 77 goto +1; call %[never]; call %[never_nested]");
}

SEC("tc") __test("a callback sees the cookie of a throw in the last instruction")
__returns(8)
int last_cookie(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	never_nested();
	return 3;
}

/* Garbage behind such a call: in the middle, at the end, with and without an end */

SEC("tc") __test("garbage with an exit behind bpf_throw") __returns(0)
__asm_main int garbage_exit(void)
{
	ASM("r1 = 5; call %[bpf_throw]; r0 = r9; r0 += r8; exit");
}

SEC("tc") __test("garbage without an exit behind bpf_throw, main is followed by a subprogram")
__returns(0)
__asm_main int garbage_no_exit(void)
{
	ASM("if r1 == 0 goto +1; call %[never]; r1 = 5; call %[bpf_throw]; r0 = r9; r8 += r7");
}

SEC("tc") __test("garbage that ends in a 64-bit load behind a global function") __returns(0)
__asm_main int garbage_ldimm64(void)
{
	ASM("r1 = 0; call %[global_never]; r0 = r9; r8 = 0x1122334455667788 ll");
}

SEC("tc") __test("garbage that calls, loops and jumps") __returns(0)
__asm_main int garbage_flow(void)
{
	ASM("call %[never]; r0 = r9; if r0 == 0 goto -2; call %[may_return]; goto -4");
}

SEC("tc") __test("garbage in the middle, live code behind it") __returns(0)
__asm_main int garbage_middle(void)
{
	ASM("r6 = r1; r2 = *(u32 *)(r1 + 0); if r2 == 77 goto +4; call %[never];"
	    "r0 = r9; r0 = r8; goto -3; r0 = *(u32 *)(r6 + 4); r0 = 1; exit");
}

SEC("tc") __test("garbage that calls a subprogram nobody else calls") __returns(0)
__asm_main int garbage_calls(void)
{
	ASM("r1 = 5; call %[bpf_throw]; r1 = 1; call %[may_return]; exit");
}

SEC("tc") __test("garbage that ends in bpf_throw") __returns(0)
__asm_main int garbage_throw(void)
{
	ASM("r1 = 5; call %[bpf_throw]; r1 = 6; call %[bpf_throw]");
}

SEC("tc") __test("garbage that ends in a call of a subprogram") __returns(0)
__asm_main int garbage_call(void)
{
	ASM("r1 = 5; call %[bpf_throw]; call %[may_return]");
}

__global int global_throws_always(int arg)
{
	bpf_throw(arg);
}

SEC("tc") __test("a cold throw that the compiler puts behind a call that never returns")
__returns(3)
int garbage_cold(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	global_throws_always(3);
	bpf_throw(4);
}

__asm_subprog void never_garbage(void)
{
	asm volatile("r1 = 6; call %[bpf_throw]; r0 = r9; r1 = 0x1122334455667788 ll"
		     : : __imm(bpf_throw));
}

SEC("tc") __test("garbage at the end of a subprogram, callback behind it") __returns(6)
int garbage_subprog(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cb_cookie);
	if (throws != 12345)
		never_garbage();
	never_nested();
	return 4;
}

/* Calls that may return are treated as always */

#define FALLS_THROUGH(name, desc, code)						\
SEC("tc") __test(desc) __refused("last insn is not an exit or jmp")		\
__asm_main int name(void)					\
{										\
	ASM(code);								\
}

FALLS_THROUGH(fall_may_return, "a subprogram that may return is called last",
	      "call %[may_return]")
FALLS_THROUGH(fall_around, "control gets around the throw, and off the end",
	      "r2 = *(u32 *)(r1 + 0); if r2 == 77 goto +1; call %[never]; r0 = 0")
FALLS_THROUGH(fall_cond, "a conditional jump at the end, behind a throw",
	      "r0 = 0; call %[never]; if r0 == 0 goto -2")
FALLS_THROUGH(fall_plain, "no throw on the way to the end",
	      "r0 = 0; if r1 != 0 goto +1; call %[never]; r0 = 1")

__asm_subprog void falls_through(void)
{
	asm volatile("if r1 == 0 goto +1; call %[never]; r0 = 0" : : __imm(never));
}

SEC("tc") __test("a subprogram may fall through into the next")
__refused("last insn is not an exit or jmp")
int fall_subprog(struct __sk_buff *ctx)
{
	falls_through();
	return 1;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} jmp_table SEC(".maps");

/* It has an exit, though it is never taken */
__asm_subprog int tail_call_or_throw(void)
{
	asm volatile("r2 = %[jmp_table] ll; r3 = 0; call %[bpf_tail_call]; r0 = 0;"
		     "if r0 != 0 goto +2; r1 = 3; call %[bpf_throw]; exit"
		     : : __imm_addr(jmp_table), __imm(bpf_tail_call), __imm(bpf_throw));
}

SEC("tc") __test("a subprogram that tail-calls or throws may return: main goes on")
__tail_call(jmp_table, 0, returns_20) __returns(21)
__asm_main int tail_call_returns(void)
{
	asm volatile("call %[tail_call_or_throw]; r0 += 1; exit" : : __imm(tail_call_or_throw));
}

SEC("tc") int returns_20(struct __sk_buff *ctx)
{
	return 20;
}

SEC("tc") __test("what follows a tail call or a throw is checked")
__refused("last insn is not an exit or jmp") __refused("may return")
__asm_main int tail_call_last(void)
{
	asm volatile("call %[tail_call_or_throw]" : : __imm(tail_call_or_throw));
}

/* Pruning: a state that is safe because it throws must not vouch for one that doesn't */

SEC("tc") __test("paths that differ in a bound meet behind an assertion")
__refused("unbounded memory access")
int prune_bound(struct __sk_buff *ctx)
{
	int zero = 0, *v = bpf_map_lookup_elem(&array, &zero);
	__u64 i = ctx->len, big = ctx->mark;

	if (!v)
		return 0;
	hide(i);
	if (big) {
		if (i > 3)
			bpf_throw(1);
	} else {
		hide(i);
	}
	return ((char *)v)[i];
}

SEC("tc") __test("an assertion's bound holds behind it") __returns(0)
int prune_bound_held(struct __sk_buff *ctx)
{
	int zero = 0, *v = bpf_map_lookup_elem(&array, &zero);
	__u64 i = ctx->mark;

	if (!v)
		return 0;
	hide(i);
	if (i > 3)
		bpf_throw(1);
	return ((char *)v)[i];
}

__asm_subprog int clobbers_r6_and_tail_calls(void)
{
	asm volatile("r6 = 5; r2 = %[jmp_table] ll; r3 = 0; call %[bpf_tail_call]; r0 = 0;"
		     "if r0 != 0 goto +2; r1 = 3; call %[bpf_throw]; exit"
		     : : __imm_addr(jmp_table), __imm(bpf_tail_call), __imm(bpf_throw));
}

/*
 * The verifier goes on in main as if the tail call's target had returned there. The requirement
 * that r6 be precise must be propagated past the subprogram, whose own r6 is a known constant, to
 * where the two paths meet. Otherwise the second path is pruned against the first.
 */
SEC("tc") __test("precision across the return of a tail call: the second path is looked at")
__refused("invalid access to map value")
__asm_main int prune_tail_call(void)
{
	asm volatile("r7 = r1; r0 = 0; *(u32 *)(r10 - 4) = r0; r2 = r10; r2 += -4;"
		     "r1 = %[array] ll; call %[bpf_map_lookup_elem];"
		     "if r0 != 0 goto +1; exit; r8 = r0;"
		     "r2 = *(u32 *)(r7 + 8); r6 = 100; if r2 == 0 goto +1; r6 = 0;"
		     "r2 = *(u32 *)(r7 + 0); if r2 == 7 goto +1; r2 = 7;"
		     "if r2 == 8 goto +1; r2 = 8; if r2 == 9 goto +1; r2 = 9;"
		     "r1 = r7; call %[clobbers_r6_and_tail_calls];"
		     "r8 += r6; r0 = *(u8 *)(r8 + 0); exit"
		     : : __imm_addr(array), __imm(bpf_map_lookup_elem),
			 __imm(clobbers_r6_and_tail_calls));
}
