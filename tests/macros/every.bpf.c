// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every macro of the header in all its forms, and each within another, to test what they all
 * promise: no warnings, whichever are enabled; no conflicts with a user's macros; a single
 * error from a compiler that isn't supported. Compiled by tests/macros/run, never loaded.
 *
 * AHEAD is a file to include before the header: a user's macros.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#ifdef AHEAD
#include AHEAD
#endif
#include "bpf_exceptions.h"

enum my_colour { MY_RED, MY_GREEN };
enum my_sign { MY_MINUS = -1, MY_PLUS = 1 };

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} my_table SEC(".maps");

char _license[] SEC("license") = "GPL";
int my_global;
const volatile unsigned int my_limit = 8;

#define MY_PROGRAM(my_name, ...)						\
int my_name(struct __sk_buff *my_ctx);						\
SEC("tc") __VA_ARGS__ int my_name(struct __sk_buff *my_ctx)

#define MY_VARIABLES								\
	__u8 my_u8 = (__u8)my_ctx->mark;					\
	__s8 my_s8 = (__s8)my_ctx->mark;					\
	__u16 my_u16 = (__u16)my_ctx->mark;					\
	__s16 my_s16 = (__s16)my_ctx->mark;					\
	__u32 my_u32 = my_ctx->mark;						\
	__s32 my_s32 = (__s32)my_ctx->mark;					\
	__u64 my_u64 = my_ctx->mark;						\
	__s64 my_s64 = my_ctx->mark;						\
	_Bool my_bool = my_ctx->mark > 5;					\
	enum my_colour my_colour = (enum my_colour)my_ctx->mark;		\
	enum my_sign my_sign = (enum my_sign)my_ctx->mark;			\
	const int my_const = my_global;						\
	volatile int my_volatile = my_global;					\
	struct { int my_s : 4; unsigned int my_u : 4; } my_bits = { 1, 2 };	\
										\
	my_global += my_u8 + my_s8 + my_u16 + my_s16 + my_s32 + my_bool + my_const + my_volatile;	\
	my_global += (int)my_u32 + (int)my_u64 + (int)my_s64 + (int)my_colour + my_sign + my_bits.my_s

/* Two sides: every type, with and without constants */
#define MY_SIDES(MY_EACH, ...)							\
	MY_EACH(my_u8, 5, __VA_ARGS__);						\
	MY_EACH(my_s8, -5, __VA_ARGS__);					\
	MY_EACH(my_u16, 5, __VA_ARGS__);					\
	MY_EACH(my_s16, -5, __VA_ARGS__);					\
	MY_EACH(my_u32, 5U, __VA_ARGS__);					\
	MY_EACH(my_s32, -5L, __VA_ARGS__);					\
	MY_EACH(my_u64, 1ULL << 40, __VA_ARGS__);				\
	MY_EACH(my_s64, -(1LL << 40), __VA_ARGS__);				\
	MY_EACH(my_colour, MY_GREEN, __VA_ARGS__);				\
	MY_EACH(my_sign, MY_PLUS, __VA_ARGS__);					\
	MY_EACH(my_const, 5, __VA_ARGS__);					\
	MY_EACH(my_volatile, 5, __VA_ARGS__);					\
	MY_EACH(my_bits.my_s, 1, __VA_ARGS__);					\
	MY_EACH(my_bits.my_u, 1, __VA_ARGS__);					\
	MY_EACH(my_u8 + 1, 5, __VA_ARGS__);					\
	MY_EACH((my_u8), 5, __VA_ARGS__);					\
	MY_EACH(my_s32, sizeof(int), __VA_ARGS__);				\
	MY_EACH(5, 5, __VA_ARGS__);						\
	MY_EACH(my_ctx->mark, my_limit, __VA_ARGS__);				\
	MY_EACH(my_global, my_s32, __VA_ARGS__);				\
	MY_EACH(my_s64, my_s8, __VA_ARGS__)

/* A function for each, or compiling takes too long */
#define MY_RELATION(my_name, ...)						\
MY_PROGRAM(my_name, )								\
{										\
	MY_VARIABLES;								\
										\
	MY_SIDES(MY_PLAIN, __VA_ARGS__);					\
	return my_bool;								\
}										\
MY_PROGRAM(my_name##_with, )							\
{										\
	MY_VARIABLES;								\
										\
	MY_SIDES(MY_WITH, __VA_ARGS__);						\
	return my_bool;								\
}
#define MY_PLAIN(MY_LHS, MY_RHS, MY_MACRO, ...) MY_MACRO(MY_LHS, MY_RHS)
#define MY_WITH(MY_LHS, MY_RHS, MY_MACRO, MY_VALUE_MACRO, MY_WITH_MACRO)	\
	MY_VALUE_MACRO(MY_LHS, MY_RHS, my_s32);					\
	MY_WITH_MACRO(MY_LHS, MY_RHS, 42)
MY_RELATION(my_eq, bpf_assert_eq, bpf_assert_eq_value, bpf_assert_eq_with)
MY_RELATION(my_ne, bpf_assert_ne, bpf_assert_ne_value, bpf_assert_ne_with)
MY_RELATION(my_lt, bpf_assert_lt, bpf_assert_lt_value, bpf_assert_lt_with)
MY_RELATION(my_gt, bpf_assert_gt, bpf_assert_gt_value, bpf_assert_gt_with)
MY_RELATION(my_le, bpf_assert_le, bpf_assert_le_value, bpf_assert_le_with)
MY_RELATION(my_ge, bpf_assert_ge, bpf_assert_ge_value, bpf_assert_ge_with)

#define MY_COMPARE(my_name, MY_OP)						\
MY_PROGRAM(my_name, )								\
{										\
	MY_VARIABLES;								\
										\
	MY_SIDES(MY_IFS, MY_OP);						\
	return my_bool;								\
}
#define MY_IFS(MY_LHS, MY_RHS, MY_OP)						\
	do {									\
		if (bpf_cmp_likely(MY_LHS, MY_OP, MY_RHS))			\
			my_global++;						\
		if (bpf_cmp_unlikely(MY_LHS, MY_OP, MY_RHS))			\
			my_global++;						\
	} while (0)
MY_COMPARE(my_cmp_eq, ==)
MY_COMPARE(my_cmp_ne, !=)
MY_COMPARE(my_cmp_lt, <)
MY_COMPARE(my_cmp_gt, >)
MY_COMPARE(my_cmp_le, <=)
MY_COMPARE(my_cmp_ge, >=)

MY_PROGRAM(my_conditions, )
{
	MY_VARIABLES;

	bpf_assert(my_u8);
	bpf_assert(my_ctx);
	bpf_assert(my_u8 > 3 && my_ctx->len);
	bpf_assert_with(my_u8 == 3, -1);
	bpf_assert_with(my_bool, my_bool);
	bpf_assert_with(my_sign, my_sign);
	bpf_assert_range(my_u8, 1, 200);
	bpf_assert_range(my_colour, MY_RED, MY_GREEN);
	bpf_assert_range(my_ctx->len, 1, my_limit);
	bpf_assert_range(my_global, MY_MINUS, 77);
	bpf_assert_range_with(my_s8, -3, 3, my_u8);
	bpf_assert_range_with(my_s64, -3, my_s8, my_u64);
	if (my_u8)
		bpf_assert_lt(my_u8, 9);
	else
		bpf_assert(my_u16);
	if (my_u8)
		bpf_assert_with(my_u16, 5);
	else
		bpf_assert_range(my_s16, 1, 9);
	return 1;
}

/* One inside another */
MY_PROGRAM(my_nested, )
{
	MY_VARIABLES;

	bpf_assert_lt(({ bpf_assert_gt(my_u16, 1); my_u16; }), 9);
	bpf_assert_eq_value(my_u8, 5, ({ bpf_assert_with(my_s8, ({ bpf_assert_lt(my_u8, 3); 4; })); 5; }));
	bpf_assert_range(({ bpf_assert_range(my_u32, 2, 3); my_u32; }), 1, 5);
	bpf_assert(({ bpf_assert(my_s16); bpf_assert_range(my_s16, 1, 2); my_s16; }));
	bpf_assert(bpf_cmp_likely(my_s64, >, 7));
	bpf_assert_with(bpf_cmp_unlikely(my_s32, !=, 7), bpf_cmp_likely(my_s32, <, my_s8));
	return 1;
}

int my_callback(__u64 my_cookie);
int my_callback(__u64 my_cookie)
{
	return (int)my_cookie;
}

MY_PROGRAM(my_throw, )
{
#ifndef BPF_EXCEPTIONS_PORTABLE
	bpf_set_exception_callback(my_callback);
#endif
	if (my_ctx->len > my_limit)
		bpf_throw(my_ctx->len);
#ifdef BPF_EXCEPTIONS_WEAK
	if (!bpf_exceptions_exist())
		return 2;
#endif
	return 1;
}

#define MY_SUBPROGRAM(my_name, my_type, MY_BODY)				\
static __attribute__((noinline)) my_type my_name(struct __sk_buff *my_ctx)	\
{										\
	MY_BODY;								\
}
MY_SUBPROGRAM(my_jump, int, bpf_tail_call_or_throw(my_ctx, &my_table, 0, 1))
MY_SUBPROGRAM(my_jump_int, int, return bpf_tail_call_or_throw(my_ctx, &my_table, 0, my_global))
MY_SUBPROGRAM(my_jump_u32, __u32, return bpf_tail_call_or_throw(my_ctx, &my_table, my_limit, -1))
MY_SUBPROGRAM(my_jump_s8, __s8, return bpf_tail_call_or_throw(my_ctx, &my_table, my_limit, my_limit))
MY_SUBPROGRAM(my_jump_u64, __u64, bpf_tail_call_or_throw(my_ctx, &my_table, 0, MY_PLUS); return 2)
MY_SUBPROGRAM(my_returning, int, return bpf_throw_returning(my_ctx->len))

MY_PROGRAM(my_jumps, __exception_cb(my_callback))
{
	switch (my_ctx->len) {
	case 1:
		return my_jump(my_ctx) + 1;
	case 2:
		return my_jump_int(my_ctx) + 2;
	case 3:
		return (int)my_jump_u32(my_ctx) + 3;
	case 4:
		return (int)my_jump_u64(my_ctx) + 4;
	case 5:
		return my_jump_s8(my_ctx) + 5;
	default:
		return my_returning(my_ctx) + 6;
	}
}

MY_PROGRAM(my_cookie_returned, __exception_default_cookie)
{
	bpf_tail_call_or_throw(my_ctx, &my_table, 0, 1);
}

MY_PROGRAM(my_zero_returned, __exception_default_zero)
{
	return bpf_throw_returning(my_ctx->len);
}
