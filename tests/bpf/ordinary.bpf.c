// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ordinary C is accepted, and does what it says. These programs test what compilers make of
 * functions that don't return.
 */
#include "test.h"

__u64 throws, big, small, others;
unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} jmp_table SEC(".maps");

__subprog int cb_cookie(__u64 cookie)
{
	return cookie;
}

SEC("tc") int returns_20(struct __sk_buff *ctx)
{
	return 20;
}

/* --- returns that no compiler knows about ----------------------------------------------- */

#define THROW_IF(cond, cookie)							\
	do {									\
		if (cond)							\
			bpf_throw(cookie);					\
	} while (0)

/* Called in the middle of a program, where the compiler drops the rest */
#define NO_RETURN(name, desc, linkage, body, ...)				\
linkage int name##_judges(struct __sk_buff *ctx)				\
{										\
	body;									\
}										\
										\
SEC("tc") __test(desc) __VA_ARGS__						\
int name(struct __sk_buff *ctx)							\
{										\
	if (ctx->mark != 5)							\
		return name##_judges(ctx) + 1;					\
	others++;								\
	return 7;								\
}

#define TAIL_CALL_OR_THROW  bpf_tail_call(ctx, &jmp_table, 0); bpf_throw(1)
#define LOAD_OR_THROW	    bpf_throw(load_byte(ctx, 2000))
#define __refused_without_return(func)						\
	__refused(func "_judges() returns only by a tail call or LD_ABS")	\
	__refused("bpf_tail_call_or_throw()")

NO_RETURN(tail_static, "a static function that tail-calls or throws", __subprog,
	  TAIL_CALL_OR_THROW, __refused_without_return("tail_static"))
NO_RETURN(tail_global, "a global function that tail-calls or throws", __attribute__((noinline)),
	  TAIL_CALL_OR_THROW, __refused_without_return("tail_global"))
NO_RETURN(tail_weak, "a weak function that tail-calls or throws", __global,
	  TAIL_CALL_OR_THROW, __refused_without_return("tail_weak"))
NO_RETURN(load_static, "a static function that throws what LD_ABS loads", __subprog,
	  LOAD_OR_THROW, __refused_without_return("load_static"))
NO_RETURN(load_global, "a global function that throws what LD_ABS loads",
	  __attribute__((noinline)), LOAD_OR_THROW, __refused_without_return("load_global"))
NO_RETURN(load_weak, "a weak function that throws what LD_ABS loads", __global,
	  LOAD_OR_THROW, __refused_without_return("load_weak"))
NO_RETURN(load_below, "a function that calls one that throws what LD_ABS loads", __subprog,
	  load_static_judges(ctx); bpf_throw(2), __refused_without_return("load_static"))

/* The same with a return as well: the value gets to the caller. It isn't constant, or the
 * compiler would use the constant in the caller.
 */
static __always_inline int three(void)
{
	int value = 3;

	hide(value);
	return value;
}

NO_RETURN(tail_returns, "a tail call, a throw on one path and a return on the other", __subprog,
	  bpf_tail_call(ctx, &jmp_table, 0); THROW_IF(throws, 1); return three(),
	  __tail_call(jmp_table, 0, returns_20) __returns(21))
NO_RETURN(load_returns, "LD_ABS out of the packet returns 0, behind it are throw and return",
	  __subprog,
	  THROW_IF(load_byte(ctx, 2000) == 3, 1); return three(),
	  __returns(1))
NO_RETURN(load_global_returns, "the same in a global function", __global,
	  THROW_IF(load_byte(ctx, 2000) == 3, 1); return three(),
	  __returns(1))

SEC("tc") __test("main may tail-call or throw: nothing follows it")
__tail_call(jmp_table, 0, returns_20) __returns(20)
int tail_main(struct __sk_buff *ctx)
{
	TAIL_CALL_OR_THROW;
}

SEC("tc") __test("main may throw what LD_ABS loads") __returns(0)
int load_main(struct __sk_buff *ctx)
{
	LOAD_OR_THROW;
}

/* --- one callback in the source ------------------------------------------------------------- */

SEC("tc") __test("the compiler threads a jump past the call that sets the callback: still one")
__returns(7)
int set_threaded(struct __sk_buff *ctx)
{
	int is_big = 0;

	if (ctx->len > 50) {
		__sync_fetch_and_add(&big, 1);
		is_big = 1;
	} else {
		__sync_fetch_and_add(&small, 1);
	}
	bpf_set_exception_callback(cb_cookie);
	if (is_big)
		bpf_throw(7);
	return 1;
}

SEC("tc") __test("the call that sets the callback is in a loop that is unrolled: still one")
__returns(9)
int set_unrolled(struct __sk_buff *ctx)
{
#pragma clang loop unroll(full)
	for (int i = 0; i < 4; i++) {
		bpf_set_exception_callback(cb_cookie);
		__sync_fetch_and_add(&big, i);
	}
	bpf_throw(9);
}

static __always_inline void set_up(__u64 *counter)
{
	bpf_set_exception_callback(cb_cookie);
	__sync_fetch_and_add(counter, 1);
}

SEC("tc") __test("the function that sets the callback is inlined twice: still one") __returns(8)
int set_inlined(struct __sk_buff *ctx)
{
	if (ctx->len > 50)
		set_up(&big);
	else
		set_up(&small);
	bpf_throw(8);
}

/* --- a tail call's target may move the packet ---------------------------------------------- */

#define PACKET(name, desc, linkage, body, ...)					\
linkage int name##_part(struct __sk_buff *ctx)					\
{										\
	body;									\
}										\
										\
SEC("tc") __test(desc) __VA_ARGS__						\
int name(struct __sk_buff *ctx)							\
{										\
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end; \
	int ret;								\
										\
	if (data + 14 > end)							\
		return 99;							\
	ret = name##_part(ctx);							\
	hide(ret);								\
	return ret + *(volatile __u8 *)(data + 13);				\
}

#define MAY_TAIL_CALL	bpf_tail_call(ctx, &jmp_table, 0); THROW_IF(throws, 3)

PACKET(packet_tail_call, "a packet pointer, held across a tail call or throw", __subprog,
       bpf_tail_call(ctx, &jmp_table, 0); return bpf_throw_returning(3),
       __refused("invalid mem access"))
PACKET(packet_tail_call_exit, "a packet pointer, held across a tail call with an exit behind it",
       __subprog, MAY_TAIL_CALL; return 0, __refused("invalid mem access"))
PACKET(packet_tail_call_global, "a packet pointer, held across a global function that tail-calls",
       __global, MAY_TAIL_CALL; return 0, __refused("invalid mem access"))
PACKET(packet_throw, "a packet pointer, held across a call that may throw", __subprog,
       THROW_IF(throws, 3); return 5, __returns(5))
PACKET(packet_throw_global, "a packet pointer, held across a global function that may throw",
       __global, THROW_IF(throws, 3); return 5, __returns(5))

/* --- layouts: any block may follow a shared throw ------------------------------------------- */

SEC("tc") __test("a shared throw stands before a block that leads to it") __returns(0)
int shared_throw(struct __sk_buff *ctx)
{
	__u32 a = ctx->len, b = ctx->mark, c = ctx->protocol;

	if (c & 4) {
		if (c == 16)
			bpf_throw(2);
		big += c + 47;
	} else {
		if (a == 185)
			bpf_throw(1);
		small += b + 94;
	}
	if (a == 6)
		bpf_throw(1);
	return 0;
}

__subprog int always_throws(__u64 cookie)
{
	others++;
	bpf_throw(cookie);
}

SEC("tc") __test("a function that always throws is called from all branches") __returns(4)
int shared_call(struct __sk_buff *ctx)
{
	__u32 a = ctx->len, b = ctx->mark;

	bpf_set_exception_callback(cb_cookie);
	if (b & 1) {
		if (a < 10)
			always_throws(1);
		big += a;
	} else {
		if (b > 100)
			always_throws(1);
		small += a;
	}
	if (a > 50)
		always_throws(4);
	if (a == 11)
		always_throws(1);
	return 0;
}

SEC("tc") __test("throws in a loop with a bound, one is shared with the code behind it")
__returns(3)
int shared_in_loop(struct __sk_buff *ctx)
{
	__u32 sum = 0;

	bpf_set_exception_callback(cb_cookie);
	for (__u32 i = 0; i < 8; i++) {
		hide(i);
		if (i > 7 || sum == 1000)
			bpf_throw(3);
		sum += ctx->mark + i;
	}
	if (sum == 28)
		bpf_throw(3);
	return 1;
}
