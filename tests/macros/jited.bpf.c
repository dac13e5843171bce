// SPDX-License-Identifier: GPL-2.0-only
/*
 * For each relation and type, a program that asserts, RELATION_TYPE, and one that doesn't,
 * plain_TYPE. tests/macros/jited compares their images.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../../bpf/bpf_exceptions.h"

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

char _license[] SEC("license") = "GPL";

__u64 input;

#define PROGRAM(name, type, check)					\
SEC("tc") int name(struct __sk_buff *ctx)				\
{									\
	type v = *(volatile type *)&input;				\
									\
	check;								\
	return (int)v;							\
}

#define RELATIONS(type)							\
PROGRAM(plain_##type, type, )						\
PROGRAM(eq_##type, type, bpf_assert_eq(v, 100))				\
PROGRAM(ne_##type, type, bpf_assert_ne(v, 100))				\
PROGRAM(lt_##type, type, bpf_assert_lt(v, 100))				\
PROGRAM(gt_##type, type, bpf_assert_gt(v, 100))				\
PROGRAM(le_##type, type, bpf_assert_le_value(v, 100, 7))		\
PROGRAM(ge_##type, type, bpf_assert_ge_value(v, 100, 7))

RELATIONS(u8)
RELATIONS(u16)
RELATIONS(u32)
RELATIONS(u64)
RELATIONS(s64)
