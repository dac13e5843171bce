/* SPDX-License-Identifier: GPL-2.0-only */
/* What programs hold when they throw, and how to write tests of it, in C and in BPF assembly */
#ifndef _HELD_BPF_H
#define _HELD_BPF_H

#include <stdbool.h>
#include "test.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

struct locked {
	struct bpf_spin_lock lock;
	int value;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct locked);
} locks SEC(".maps");

/* The kernel's own, for tests: reference-counted, of which there is one */
struct prog_test_member {
	int a, b;
};

struct prog_test_ref_kfunc {
	int a, b;
	struct prog_test_member memb;
	struct prog_test_ref_kfunc *next;
	struct {
		struct {
			int counter;
		} refs;
	} cnt;
} __attribute__((preserve_access_index));

struct prog_test_ref_kfunc *bpf_kfunc_call_test_acquire(unsigned long *scalar) __ksym;
void bpf_kfunc_call_test_release(struct prog_test_ref_kfunc *object) __ksym;

/* Of an established connection; the loader has it, see tests/held.c */
struct bpf_sock_tuple tuple;
__u64 throws, wants = 1, seen, sink;

/* --- what there is to hold ----------------------------------------------------- */

static __always_inline void *record(void)
{
	return bpf_ringbuf_reserve(&records, 16, 0);
}

static __always_inline struct bpf_sock *socket(struct __sk_buff *ctx)
{
	return bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
}

static __always_inline struct prog_test_ref_kfunc *object(void)
{
	unsigned long zero = 0;

	return bpf_kfunc_call_test_acquire(&zero);
}

static __always_inline struct locked *lock_at(int index)
{
	return bpf_map_lookup_elem(&locks, &index);
}

/* For tests/held.c: how many have the object */
SEC("tc") int probe_object(struct __sk_buff *ctx)
{
	struct prog_test_ref_kfunc *o = object();
	int count = -1;

	if (o) {
		count = o->cnt.refs.counter;
		bpf_kfunc_call_test_release(o);
	}
	return count;
}

/* --- tests in C ------------------------------------------------------------------- */

__attribute__((unused)) __subprog int cookie_callback(__u64 cookie)
{
	return cookie;
}

/* Each test twice: it throws, and it doesn't */
#define HELD(name, desc, n, ...)							\
static __always_inline int do_##name(struct __sk_buff *ctx)				\
{											\
	bpf_set_exception_callback(cookie_callback);					\
	__VA_ARGS__									\
	return 1;									\
}											\
SEC("tc") __test(desc) __input(throws, 1) __repeat(50) __returns(7) __releases(n)	\
int name(struct __sk_buff *ctx) { return do_##name(ctx); }				\
SEC("tc") __test(desc ", it holds") __input(throws, 0) __repeat(50) __returns(1) __releases(0)\
int name##_holds(struct __sk_buff *ctx) { return do_##name(ctx); }

/* --- tests in assembly ------------------------------------------------------------- */

#define __asm_main __attribute__((naked))

/* r0 = a record, or the program ends */
#define GET_RECORD "r1 = %[records] ll; r2 = 16; r3 = 0; call %[bpf_ringbuf_reserve];"	\
		   "if r0 != 0 goto +2; r0 = -1; exit;"
#define PUT_RECORD "r2 = 0; call %[bpf_ringbuf_discard];"
/* what the verifier needs to keep a state, if it isn't told to keep all; R9 is the context */
#define SOME_JUMPS "r2 = *(u32 *)(r9 + 0); if r2 == 7 goto +1; r2 = 7; if r2 == 8 goto +1; r2 = 8;"	\
		   "if r2 == 9 goto +1; r2 = 9;"
#define THROW_7 "r1 = 7; call %[bpf_throw];"
#define OPERANDS __imm_addr(records), __imm_addr(throws), __imm_addr(locks), __imm(bpf_throw),	\
	__imm(bpf_ringbuf_reserve), __imm(bpf_ringbuf_discard), __imm(bpf_map_lookup_elem),	\
	__imm(bpf_spin_lock), __imm(bpf_spin_unlock), __imm(bpf_ringbuf_reserve_dynptr),	\
	__imm(bpf_ringbuf_discard_dynptr), __imm(bpf_dynptr_from_mem)

#endif
