// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program for each kind of place where C code can throw, or where compilers put a throw. Each is
 * compiled by all compilers, with all options; see run.
 */
#include "ordinary.h"

CONSTANTS(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 20, 40, 60, 64, 100, 128, 185, 200, 255, 256, 1500);

#define THROW_IF(condition, cookie)	\
	do {				\
		if (condition)		\
			bpf_throw(cookie); \
	} while (0)

STATIC int cookie_and_count(__u64 cookie)
{
	count[7]++;
	return cookie + 100 * seen[0];
}

/* --- Functions that always throw ---------------------------------------------------------- */

STATIC int always(__u64 cookie)
{
	count[6]++;
	bpf_throw(cookie);
}

STATIC NORETURN int always_as_said(__u64 cookie)
{
	seen[1]++;
	bpf_throw(cookie);
}

GLOBAL int always_global(__u64 cookie)
{
	USED(cookie);
	half[1]++;
	bpf_throw(cookie);
}

WEAK int always_weak(__u64 cookie)
{
	half[2]++;
	bpf_throw(cookie);
}

STATIC int always_nested(__u64 cookie)
{
	sum[1] += cookie;
	ENDS(always(cookie + 1));
}

STATIC int always_in_both_arms(__u64 x)
{
	if (x & 1) {
		count[5]++;
		bpf_throw(x);
	} else {
		ENDS(always_nested(x));
	}
}

STATIC int always_by_switch(__u64 x)
{
	switch (x & 3) {
	case 0:
		bpf_throw(7);
	case 1:
		count[1]++;
	case 2:
		ENDS(always_global(x));
	default:
		bpf_throw(7);
	}
}

STATIC int always_behind_loop(__u32 x)
{
	for (__u32 i = 0; i < 4; i++) {
		if (x == i)
			bpf_throw(3);
		count[i] += x;
	}
	bpf_throw(3);
}

/* One that the layout of another main program puts after its last call */
STATIC int returns(__u64 x)
{
	count[0] += x;
	return x + 1;
}

XDP(nothing_else, cookie_and_count)
{
	bpf_set_exception_callback(cookie_and_count);
	bpf_throw(16);
}

TC(call_at_the_end, NO_CALLBACK)
{
	__u32 mark = READ(ctx->mark);

	if (mark == 4)
		return returns(mark);
	ENDS(always(mark));
}

TC(calls_at_the_end, cookie_and_count)
{
	__u32 mark = READ(ctx->mark);

	bpf_set_exception_callback(cookie_and_count);
	if (mark < 4)
		ENDS(always_nested(mark));
	if (mark < 9)
		ENDS(always_in_both_arms(mark));
	if (mark < 200)
		return mark;
	ENDS(always_behind_loop(mark));
}

TC(call_in_the_middle, cookie_and_count)
{
	__u32 mark = READ(ctx->mark), priority = READ(ctx->priority);

	bpf_set_exception_callback(cookie_and_count);
	if (mark == 5)
		ENDS(always_weak(priority));
	count[0]++;
	if (mark == 6)
		ENDS(always_weak(priority));
	count[1]++;
	if (mark == 7)
		ENDS(always_by_switch(priority));
	return count[1];
}

TC(value_of_what_never_returns, NO_CALLBACK)
{
	__u32 mark = READ(ctx->mark);

	if (mark > 8)
		return always(mark) + 1;
	if (mark > 5)
		sum[0] = always_global(mark);
	return sum[0];
}

TC(said_to_be_noreturn, cookie_and_count)
{
	__u32 mark = READ(ctx->mark), len = READ(ctx->len);

	bpf_set_exception_callback(cookie_and_count);
	if (len & 1) {
		if (mark == 2)
			ENDS(always_as_said(2));
		count[0] += mark;
	} else {
		if (mark == 3)
			ENDS(always_as_said(2));
		count[1] += len;
	}
	if (mark == 8)
		ENDS(always_as_said(2));
	return 1;
}

/* --- Throws that share a block ------------------------------------------------------------ */

/* In two branches and after them: none of them needs to run into it */
TC(shared_across_branches, NO_CALLBACK)
{
	__u32 mark = READ(ctx->mark), priority = READ(ctx->priority), len = READ(ctx->len);

	if (priority & 4) {
		if (priority == 7)
			bpf_throw(2);
		count[2] += priority + 47;
	} else {
		if (len == 185)
			bpf_throw(1);
		count[3] += mark + 94;
	}
	if (mark == 9)
		bpf_throw(1);
	return 0;
}

TC(shared_by_nested_branches, cookie_and_count)
{
	__u32 mark = READ(ctx->mark), priority = READ(ctx->priority);

	bpf_set_exception_callback(cookie_and_count);
	if (mark & 1) {
		if (mark & 2) {
			THROW_IF(priority == 3, 5);
			count[0]++;
		} else {
			THROW_IF(priority == 4, 6);
			count[1]++;
		}
		THROW_IF(seen[2] == 7, 5);
	} else if (mark & 4) {
		THROW_IF(seen[2] == 5, 6);
		count[2]++;
	} else {
		count[3]++;
		THROW_IF(priority == 5, 5);
	}
	THROW_IF(seen[3] == 7, 6);
	return 0;
}

/* The code before the throw is the same as well */
TC(shared_with_what_precedes, NO_CALLBACK)
{
	__u32 mark = READ(ctx->mark);

	switch (mark & 3) {
	case 0:
		if (seen[0] == 1) {
			count[0]++;
			bpf_throw(1);
		}
		break;
	case 1:
		if (seen[1] == 2) {
			count[0]++;
			bpf_throw(1);
		}
		seen[1]++;
		break;
	default:
		if (seen[2] == 3) {
			count[0]++;
			bpf_throw(2);
		}
		seen[2] += 2;
	}
	if (half[0] == 4) {
		count[0]++;
		bpf_throw(1);
	}
	return mark;
}

XDP(parser, cookie_and_count)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 len;

	bpf_set_exception_callback(cookie_and_count);
	THROW_IF(data + 14 > end, 1);
	if (data[1] == 8) {
		THROW_IF(data + 34 > end, 1);
		THROW_IF(data[14] & 4, 2);
		len = *(__u16 *)(data + 16);
		count[0] += len;
	} else if (data[1] == 6) {
		THROW_IF(data + 54 > end, 1);
		THROW_IF(data[14] & 8, 2);
		len = *(__u16 *)(data + 18) + 40;
		count[1] += len;
	} else {
		return 2;
	}
	THROW_IF(len > 1500, 3);
	THROW_IF(data + 62 > end, 1);
	sum[0] += data[61];
	return 1;
}

XDP(parser_that_asserts, cookie_and_count)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 len;

	bpf_set_exception_callback(cookie_and_count);
	bpf_assert_with(data + 14 <= end, 1);
	if (data[1] == 8) {
		bpf_assert_with(data + 34 <= end, 1);
		bpf_assert_with(!(data[14] & 4), 2);
		len = *(__u16 *)(data + 16);
		count[0] += len;
	} else {
		bpf_assert_with(data + 54 <= end, 1);
		bpf_assert_ne_value(data[14], 8, 2);
		len = *(__u16 *)(data + 18) + 40;
		count[1] += len;
	}
	bpf_assert_le_value(len, 1500, 2);
	return 1;
}

TC(relations_in_branches, cookie_and_count)
{
	__u32 mark = READ(ctx->mark), priority = READ(ctx->priority);
	__s32 x = sum[0];
	__u64 y = count[0];

	bpf_set_exception_callback(cookie_and_count);
	if (mark & 1) {
		bpf_assert_lt_value(y, 256, 1);
		bpf_assert_ne_value(x, 4, 2);
		count[1] += y;
	} else {
		bpf_assert_gt_value(x, -1, 1);
		if (mark & 2)
			bpf_assert_le_value(x, 200, 2);
		else
			bpf_assert_range_with(y, 1, 100, 2);
		count[2] += x;
	}
	bpf_assert_ge_value(priority, 1, 1);
	bpf_assert_eq(seen[5], seen[5]);
	return x;
}

/* --- Loops -------------------------------------------------------------------------------- */

TC(in_a_loop, cookie_and_count)
{
	bpf_set_exception_callback(cookie_and_count);
	for (__u32 i = 0; i < 8; i++) {
		if (seen[i] == 7)
			bpf_throw(i);
		count[i]++;
	}
	return 1;
}

TC(in_a_loop_and_behind_it, cookie_and_count)
{
	__u32 mark = READ(ctx->mark);

	bpf_set_exception_callback(cookie_and_count);
	for (__u32 i = 0; i < 4; i++) {
		if (half[i] == mark)
			bpf_throw(1);
		if (half[i] == 9)
			break;
		if (half[i] == 16)
			continue;
		if (small[i] == 7) {
			count[0]++;
			bpf_throw(2);
		}
		sum[i]++;
	}
	THROW_IF(seen[7] == 7, 2);
	THROW_IF(mark == 5, 1);
	return 1;
}

/* The only ways out are throws, so there is no exit */
TC(loop_that_only_throws_end, cookie_and_count)
{
	__u32 mark = READ(ctx->mark);

	bpf_set_exception_callback(cookie_and_count);
	for (__u32 i = 0;; i++) {
		if (i == 8 || seen[i & 7] == mark)
			bpf_throw(i);
		count[i & 7] += 2;
	}
}

TC(do_while, NO_CALLBACK)
{
	__u32 i = 0, mark = READ(ctx->mark);

	do {
		bpf_assert_ne_value(seen[i & 7], 9, 1);
		if (i == 3 && mark == 8)
			ENDS(always(i));
		count[0] += i;
	} while (++i < 6);
	return count[0];
}

XDP(loop_over_a_packet, cookie_and_count)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 at = 0;

	bpf_set_exception_callback(cookie_and_count);
	for (__u32 i = 0; i < 4; i++) {
		__u8 *next = data + (at & 31);

		if (next + 8 > end)
			bpf_throw(1);
		if (next[0] == 0)
			break;
		THROW_IF(next[1] == 255, 2);
		at += 1 + (next[2] & 7);
		count[next[3] & 7]++;
	}
	THROW_IF(at > 20, 1);
	return at;
}

/* --- Other control flow ------------------------------------------------------------------- */

TC(gotos, cookie_and_count)
{
	__u32 mark = READ(ctx->mark), priority = READ(ctx->priority);

	bpf_set_exception_callback(cookie_and_count);
	if (mark == 1)
		goto drop;
	count[0]++;
	if (priority == 2)
		goto drop;
	if (mark == 3)
		goto out;
	count[1]++;
	if (priority == 4)
		goto fail;
	return 1;
fail:
	count[2]++;
drop:
	count[3]++;
	bpf_throw(9);
out:
	if (seen[0] == 1)
		goto drop;
	return 2;
}

TC(every_case_throws, cookie_and_count)
{
	__u32 mark = READ(ctx->mark);

	bpf_set_exception_callback(cookie_and_count);
	switch (mark) {
	case 0:
	case 3:
		bpf_throw(1);
	case 1:
		count[0]++;
		bpf_throw(2);
	case 2:
		count[1]++;
	case 4:
		bpf_throw(2);
	case 5:
		if (seen[0] == 1)
			break;
		bpf_throw(1);
	case 6:
		return 4;
	default:
		bpf_throw(mark);
	}
	return 3;
}

TC(conditions, NO_CALLBACK)
{
	__u32 mark = READ(ctx->mark), priority = READ(ctx->priority), len = READ(ctx->len);

	THROW_IF(mark == 1 && priority == 2, 1);
	count[0]++;
	THROW_IF(mark == 3 || priority == 4 || len == 64, 1);
	count[1]++;
	THROW_IF((mark > 100 && priority < 9) || (len & 64 && seen[4] == 5), 2);
	bpf_assert_with((mark != 7 && seen[3] != 4) || priority == 16, 1);
	bpf_assert(mark != 20 || len > 100);
	return 1;
}

/* A compiler threads the jumps, and duplicates the code between */
TC(asked_twice, NO_CALLBACK)
{
	__u32 mark = READ(ctx->mark), priority = READ(ctx->priority);
	int good = mark == 4 || priority == 5;

	if (good)
		count[0]++;
	sum[0] += priority;
	if (!good)
		bpf_throw(1);
	count[1] += returns(mark);
	if (good && seen[0] == 3)
		bpf_throw(1);
	return 1;
}

TC(cookies_that_are_computed, cookie_and_count)
{
	__u32 mark = READ(ctx->mark), priority = READ(ctx->priority);

	bpf_set_exception_callback(cookie_and_count);
	if (mark == 4)
		bpf_throw(priority & 1 ? 5 : 6);
	if (priority == 4)
		bpf_throw(count[0] + mark);
	bpf_assert_with(mark != 5, sum[0]);
	bpf_assert_lt_value(seen[1], 200, mark * 3);
	return 1;
}

/* Code that is never reached */
TC(code_behind_throws, NO_CALLBACK)
{
	__u32 mark = READ(ctx->mark);

	if (mark > 4) {
		count[0]++;
		bpf_throw(1);
		count[1]++;
	}
	for (__u32 i = 0; i < 3; i++) {
		if (mark == i) {
			bpf_throw(2);
			break;
		}
	}
	return 5;
}

XDP(map_values, cookie_and_count)
{
	__u32 key = seen[0] & 7, other = seen[1] & 7;
	__u64 *value, *second;

	bpf_set_exception_callback(cookie_and_count);
	value = bpf_map_lookup_elem(&values, &key);
	if (!value)
		bpf_throw(1);
	*value += seen[2];
	second = bpf_map_lookup_elem(&values, &other);
	bpf_assert_with(second, 1);
	THROW_IF(*second == 7, 2);
	*second ^= *value;
	THROW_IF(*value == 9, 1);
	return *second;
}

/* --- Subprograms -------------------------------------------------------------------------- */

INLINE __u32 checked(__u32 x)
{
	THROW_IF(x == 9, 1);
	if (x & 4) {
		THROW_IF(x == 6, 2);
		return x + 1;
	}
	return x;
}

TC(inlined_several_times, NO_CALLBACK)
{
	__u32 mark = READ(ctx->mark), priority = READ(ctx->priority), x;

	x = checked(mark);
	count[0] += x;
	if (mark & 1)
		x += checked(priority);
	else
		count[1] += checked(seen[0]);
	count[2] += checked(x);
	return checked(half[0]);
}

/* Seven calls deep */
#define LEVEL(number, linkage, below, cookie)		\
	linkage int level##number(__u64 x)		\
	{						\
		USED(x);				\
		if (seen[number] == number + 1)		\
			bpf_throw(cookie);		\
		x = below;				\
		if (x == 5)				\
			bpf_throw(cookie);		\
		return x + number;			\
	}
LEVEL(7, STATIC, x + 1, 1)
LEVEL(6, GLOBAL, level7(x), 2)
LEVEL(5, STATIC, level6(x), 1)
LEVEL(4, WEAK, level5(x + 2), 3)
LEVEL(3, STATIC, level4(x), 1)
LEVEL(2, STATIC, level3(x) + 1, 2)
LEVEL(1, GLOBAL, level2(x), 1)

TC(seven_deep, cookie_and_count)
{
	__u32 mark = READ(ctx->mark);

	bpf_set_exception_callback(cookie_and_count);
	if (mark & 1)
		return level1(mark);
	return level3(mark) + 1;
}

TC(calls_in_a_row, cookie_and_count)
{
	__u32 mark = READ(ctx->mark), x;

	bpf_set_exception_callback(cookie_and_count);
	x = level5(mark);
	if (x == 3)
		bpf_throw(1);
	x = level6(x);
	if (x == 4)
		bpf_throw(1);
	x = returns(level7(x));
	if (x == 20)
		ENDS(always_global(x));
	return x;
}

GLOBAL int global_parses(struct __sk_buff *ctx, __u32 at)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	USED(at);
	data += at & 15;
	bpf_assert_with(data + 40 <= end, 1);
	if (data[2] == 7)
		bpf_throw(2);
	if (data[3] == 8)
		return 0;
	THROW_IF(data[39] == 7, 2);
	return data[4];
}

TC(parses_in_subprograms, cookie_and_count)
{
	__u32 mark = READ(ctx->mark), x;

	bpf_set_exception_callback(cookie_and_count);
	x = global_parses(ctx, mark);
	if (x == 5)
		return 1;
	x += global_parses(ctx, x);
	THROW_IF(x == 9, 3);
	return x;
}
