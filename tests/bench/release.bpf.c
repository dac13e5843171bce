// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a throw costs in a program that may hold something when it throws. sites_N throws from depth
 * N, with nothing held on the way; plain_N is the same program without the other function's record.
 * The main program saves all registers that the others do. throw_held_N throws with N ring buffer
 * records held; errors_held_N discards them and returns an error instead. throw_outer_N throws from
 * depth N, with a record held by the main program.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../../bpf/bpf_exceptions.h"

#define noinline __attribute__((noinline))
#define hide(var) asm volatile("" : "+r"(var))
/* Make @c and @d live across a call, hence in callee-saved registers */
#define keep(c, d) asm volatile("" : "+r"(c), "+r"(d) : : "r0", "r1", "r2", "r3", "r4", "r5")

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);	/* nobody reads it */
} records SEC(".maps");

__u64 input = 1;

SEC("tc") int empty(struct __sk_buff *ctx)
{
	return 0;
}

/* As in throw.bpf.c */
static noinline int thrower(int a)
{
	if (input)
		bpf_throw(a);
	return a;
}

#define LEVEL(n, below)					\
static noinline int level##n(int a)			\
{							\
	int c = a + n, d = a * n;			\
							\
	keep(c, d);					\
	return below(a + 1) + c + d;			\
}

LEVEL(6, thrower)
LEVEL(5, level6)
LEVEL(4, level5)
LEVEL(3, level4)
LEVEL(2, level3)
LEVEL(1, level2)

/* A site of the program, which this run doesn't come to */
static noinline int record_elsewhere(void)
{
	void *record = bpf_ringbuf_reserve(&records, 8, 0);

	if (!record)
		return 0;
	if (input > 1)
		bpf_throw(0);
	bpf_ringbuf_discard(record, 0);
	return 0;
}

static noinline int nothing_elsewhere(void)
{
	if (input > 1)
		bpf_throw(0);
	return 0;
}

#define THROWS(name, elsewhere, stmt)			\
SEC("tc") int name(struct __sk_buff *ctx)		\
{							\
	int a = 1, c = 2, d = 3;			\
							\
	hide(a);					\
	keep(c, d);					\
	if (!input)					\
		return elsewhere();			\
	stmt;						\
	return a + c + d;				\
}

#define BOTH(depth, stmt)				\
THROWS(plain_##depth, nothing_elsewhere, stmt)		\
THROWS(sites_##depth, record_elsewhere, stmt)

BOTH(0, if (input) bpf_throw(a))
BOTH(1, a = thrower(a))
BOTH(7, a = level1(a))

#define OUTER(depth, stmt)						\
SEC("tc") int throw_outer_##depth(struct __sk_buff *ctx)		\
{									\
	void *record = bpf_ringbuf_reserve(&records, 8, 0);		\
	int a = 1;							\
									\
	if (!record)							\
		return 0;						\
	hide(a);							\
	stmt;								\
	bpf_ringbuf_discard(record, 0);					\
	return a;							\
}

OUTER(1, a = thrower(a))
OUTER(7, a = level1(a))

#define RESERVE(n, rest)						\
	void *r##n = bpf_ringbuf_reserve(&records, 8, 0);		\
									\
	if (r##n) {							\
		rest							\
		bpf_ringbuf_discard(r##n, 0);				\
	}

#define HELD(n, nested)							\
SEC("tc") int throw_held_##n(struct __sk_buff *ctx)			\
{									\
	int ret = 0;							\
									\
	nested(if (input) bpf_throw(1);)				\
	return ret;							\
}									\
SEC("tc") int errors_held_##n(struct __sk_buff *ctx)			\
{									\
	int ret = 0;							\
									\
	nested(if (input) ret = -22;)					\
	return ret;							\
}

#define NESTED_1(stmt) RESERVE(1, stmt)
#define NESTED_4(stmt) RESERVE(4, RESERVE(3, RESERVE(2, RESERVE(1, stmt))))

HELD(1, NESTED_1)
HELD(4, NESTED_4)
