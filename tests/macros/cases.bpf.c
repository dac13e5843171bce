// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each macro on each window of cases.h, for one type:
 *
 *	clang ... -DTYPE=u8 -c cases.bpf.c -o cases_u8.bpf.o
 *
 * For each there are these programs, which tests/runner runs:
 *	holds_		the value satisfies it, nothing is thrown, and the verifier
 *			accepts the access that needs the bound
 *	throws_		the value does not satisfy it, and 0 is thrown
 *	kept_, value_	the same with the _value form, which throws 42
 *	without_	without the assertion, the access is refused (in one of
 *			three ways, all of which mention map_value)
 * and far_ ones, which only compare. The results are those of the 2023 tests: the
 * callback returns 16 for cookie 0 and any other cookie as it is; if nothing is
 * thrown the result is 6, or 5 in the _value form.
 */
#include "../bpf/test.h"
#include "cases.h"

#ifndef TYPE
#define TYPE u8
#endif

__u64 input, other;
/* In a map of its own, so that accesses must end where it ends. */
__u64 room[8] SEC(".data.room");

__catcher int cookie_or_16(__u64 cookie)
{
	return cookie ?: 16;
}

/*
 * The upper bits of a narrow value are noise, which the macros have to remove by
 * extending it. hide() keeps it from being just a narrow load.
 */
#define READ(type)							\
	({								\
		__u64 raw = input;					\
									\
		if (sizeof(type) < 8)					\
			raw ^= 0x5a5a5a5a5a5a5a5aULL << (sizeof(type) * 8 % 64);\
		hide(raw);						\
		(type)raw;						\
	})

#define TEXT(rel, type, rhs) "bpf_assert_" #rel "(" #type ", " #rhs ")"
#define RANGE_TEXT(type, lowest, highest)				\
	"bpf_assert_range(" #type ", " #lowest ", " #highest ")"

#define PROGRAM(name, tags, type, lowest, ret, ...)			\
SEC("tc") tags __catch(cookie_or_16) int name(struct __sk_buff *ctx)	\
{									\
	type x = READ(type);						\
	__u64 index;							\
									\
	catch(cookie_or_16);						\
	__VA_ARGS__;							\
	index = (__u64)x - (__u64)(type)(lowest);			\
	hide(index);	/* or the compiler adds it to the pointer later */	\
	room[index]++;							\
	return ret;							\
}

/* @side: bound x by @limit on the side where @rel doesn't: at_least, at_most, both or nothing */
#define bpf_assert_at_least(x, limit, low) bpf_assert_ge_value(x, limit, 99)
#define bpf_assert_at_most(x, limit, low) bpf_assert_le_value(x, limit, 99)
#define bpf_assert_both(x, limit, low) bpf_assert_range_with(x, low, limit, 99)
#define bpf_assert_nothing(x, limit, low)

#define CASE(name, rel, type, rhs, lowest, yes, no, constant, side, limit)	\
PROGRAM(holds_##name##_##rel,						\
	__test(TEXT(rel, type, rhs) ", constant of " constant ": holds")	\
	__input(input, yes) __returns(6), type, lowest, 6,		\
	bpf_assert_##side(x, limit, lowest); bpf_assert_##rel(x, rhs))	\
PROGRAM(throws_##name##_##rel,						\
	__test(TEXT(rel, type, rhs) ": throws 0")			\
	__input(input, no) __returns(16), type, lowest, 6,		\
	bpf_assert_##side(x, limit, lowest); bpf_assert_##rel(x, rhs))	\
PROGRAM(kept_##name##_##rel,						\
	__test(TEXT(rel, type, rhs) " with a value: holds")		\
	__input(input, yes) __returns(5), type, lowest, 5,		\
	bpf_assert_##side(x, limit, lowest); bpf_assert_##rel##_value(x, rhs, 42)) \
PROGRAM(value_##name##_##rel,						\
	__test(TEXT(rel, type, rhs) " with a value: throws it")		\
	__input(input, no) __returns(42), type, lowest, 5,		\
	bpf_assert_##side(x, limit, lowest); bpf_assert_##rel##_value(x, rhs, 42))

#define BOUND(name, rel, type, rhs, lowest, yes, no, constant, side, limit)	\
CASE(name, rel, type, rhs, lowest, yes, no, constant, side, limit)	\
PROGRAM(without_##name##_##rel,						\
	__test(TEXT(rel, type, rhs) " left out: access refused")		\
	__refused("map_value"), type, lowest, 6, bpf_assert_##side(x, limit, lowest))

#define RANGE(name, type, lowest, highest, no, constant)		\
PROGRAM(holds_##name##_range,						\
	__test(RANGE_TEXT(type, lowest, highest) ", constants of " constant ": holds") \
	__input(input, lowest) __returns(6), type, lowest, 6,		\
	bpf_assert_range(x, lowest, highest))				\
PROGRAM(throws_##name##_range,						\
	__test(RANGE_TEXT(type, lowest, highest) ": throws 0")		\
	__input(input, no) __returns(16), type, lowest, 6,		\
	bpf_assert_range(x, lowest, highest))				\
PROGRAM(kept_##name##_range,						\
	__test(RANGE_TEXT(type, lowest, highest) " with a value: holds")	\
	__input(input, highest) __returns(5), type, lowest, 5,		\
	bpf_assert_range_with(x, lowest, highest, 42))			\
PROGRAM(value_##name##_range,						\
	__test(RANGE_TEXT(type, lowest, highest) " with a value: throws it") \
	__input(input, no) __returns(42), type, lowest, 5,		\
	bpf_assert_range_with(x, lowest, highest, 42))			\
PROGRAM(without_##name##_range,						\
	__test(RANGE_TEXT(type, lowest, highest) " left out: access refused") \
	__refused("map_value"), type, lowest, 6, )

/* The verifier of 6.1 learns nothing from ne, but keeps what it knows. */
#define EQUAL(name, type, lowest, highest, constant)			\
	BOUND(name, eq, type, highest, lowest, highest, lowest, constant, nothing, ) \
	CASE(name, ne, type, lowest, lowest, highest, lowest, constant, both, highest)

#define FLOOR(name, type, lowest, highest, above, constant)		\
	BOUND(name, lt, type, above, lowest, lowest, above, constant, nothing, ) \
	BOUND(name, le, type, highest, lowest, highest, above, constant, nothing, ) \
	EQUAL(name, type, lowest, highest, constant)			\
	RANGE(name, type, lowest, highest, above, constant)

#define WINDOW(name, type, below, lowest, highest, above, constant)	\
	BOUND(name, lt, type, above, lowest, lowest, above, constant, at_least, lowest) \
	BOUND(name, le, type, highest, lowest, highest, above, constant, at_least, lowest) \
	BOUND(name, gt, type, below, lowest, highest, below, constant, at_most, highest) \
	BOUND(name, ge, type, lowest, lowest, lowest, below, constant, at_most, highest) \
	EQUAL(name, type, lowest, highest, constant)			\
	RANGE(name, type, lowest, highest, below, constant)

#define CEILING(name, type, below, lowest, highest, constant)		\
	BOUND(name, gt, type, below, lowest, highest, below, constant, nothing, ) \
	BOUND(name, ge, type, lowest, lowest, lowest, below, constant, nothing, ) \
	EQUAL(name, type, lowest, highest, constant)			\
	RANGE(name, type, lowest, highest, below, constant)

#define CASES__(type) CASES_##type(FLOOR, WINDOW, CEILING)
#define CASES_(type) CASES__(type)
CASES_(TYPE)

#define SIDE(id, rel, type, rhs, yes, no)				\
SEC("tc") __test(TEXT(rel, type, rhs) ": " #yes " holds, but not " #no)	\
__input(input, yes) __input(other, no) __returns(42) __catch(cookie_or_16)	\
int id(struct __sk_buff *ctx)						\
{									\
	type x = READ(type);						\
									\
	catch(cookie_or_16);						\
	bpf_assert_##rel(x, rhs);					\
	input = other;							\
	x = READ(type);							\
	bpf_assert_##rel##_value(x, rhs, 42);				\
	return 6;							\
}

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define FAR(type, rhs, least, greatest)					\
	SIDE(JOIN(far_lt, __COUNTER__), lt, type, rhs, least, greatest)	\
	SIDE(JOIN(far_le, __COUNTER__), le, type, rhs, least, greatest)	\
	SIDE(JOIN(far_gt, __COUNTER__), gt, type, rhs, greatest, least)	\
	SIDE(JOIN(far_ge, __COUNTER__), ge, type, rhs, greatest, least)

#define FARS__(type) FAR_##type(FAR)
#define FARS_(type) FARS__(type)
FARS_(TYPE)
