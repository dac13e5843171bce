// SPDX-License-Identifier: GPL-2.0-only
/*
 * The assertion macros, apart from the table in cases.h. The results are as there:
 * 6, or what the program says, if nothing is thrown; else 16 for cookie 0, or any
 * other cookie as it is.
 */
#include "../bpf/test.h"

typedef __u8 u8;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;

u64 input, calls;
u64 room[8] SEC(".data.room");
const volatile u32 limit = 8;
const volatile s32 signed_limit = 8;
const volatile signed char narrow_limit = 8;

__subprog int cookie_or_16(__u64 cookie)
{
	return cookie ?: 16;
}

#define PROG(name, tags)							\
SEC("tc") tags int name(struct __sk_buff *ctx)
#define HOLDS(name, desc, in)							\
	PROG(name, __test(desc) __input(input, in) __returns(6))
#define THROWS(name, desc, in, ret)						\
	PROG(name, __test(desc) __input(input, in) __returns(ret))
#define CATCH bpf_set_exception_callback(cookie_or_16)

static __always_inline u64 read_input(void)
{
	u64 x = input;

	hide(x);
	return x;
}

#define IN(type) ((type)read_input())

/* Types */

#define BOOL(name, rel, rhs, yes, no)						\
HOLDS(bool_holds_##name, "bool " #rel " " #rhs ": holds", yes)			\
{										\
	_Bool x = IN(_Bool);							\
										\
	CATCH;									\
	bpf_assert_##rel(x, rhs);						\
	return x == yes ? 6 : 7;						\
}										\
THROWS(bool_throws_##name, "bool " #rel " " #rhs ": throws", no, 42)		\
{										\
	_Bool x = IN(_Bool);							\
										\
	CATCH;									\
	bpf_assert_##rel##_value(x, rhs, 42);					\
	return 6;								\
}
BOOL(eq, eq, 1, 1, 0)
BOOL(ne, ne, 1, 0, 1)
BOOL(lt, lt, 1, 0, 1)
BOOL(le, le, 0, 0, 1)
BOOL(gt, gt, 0, 1, 0)
BOOL(ge, ge, 1, 1, 0)

enum colour { RED, GREEN, BLUE };
enum sign { MINUS = -1, PLUS = 1 };

HOLDS(enum_unsigned, "unsigned enum: holds, bound known", 2)
{
	enum colour x = IN(enum colour);

	CATCH;
	bpf_assert_le(x, BLUE);
	room[x]++;
	return 6;
}

THROWS(enum_unsigned_throws, "unsigned enum: -1 is a large value", -1, 16)
{
	enum colour x = IN(enum colour);

	CATCH;
	bpf_assert_le(x, BLUE);
	return 6;
}

HOLDS(enum_signed, "signed enum: -1 is less than 1", -1)
{
	enum sign x = IN(enum sign);

	CATCH;
	bpf_assert_lt(x, PLUS);
	return 6;
}

HOLDS(plain_char, "char is signed for BPF", -1)
{
	char x = IN(char);

	CATCH;
	bpf_assert_lt(x, 'a');
	return 6;
}

HOLDS(long_is_64, "long, constant of 64 bits", 0x123456789abcdef)
{
	long x = IN(long);

	CATCH;
	bpf_assert_range(x, 0x123456789abcdef, 0x123456789abcdf6);
	x -= 0x123456789abcdef;
	hide(x);
	room[x]++;
	return 6;
}

struct bits {
	int small : 4;
	unsigned int large : 4;
};

THROWS(bit_field_signed, "bit-field, signed: 8 in 4 bits is -8", 8, 42)
{
	struct bits b = {};

	CATCH;
	b.small = read_input();
	bpf_assert_ge_value(b.small, 0, 42);
	return 6;
}

HOLDS(bit_field_unsigned, "bit-field, unsigned", 8)
{
	struct bits b = {};

	CATCH;
	b.large = read_input();
	bpf_assert_range(b.large, 8, 15);
	return 6;
}

/* What the verifier must know afterwards */

HOLDS(any_order, "upper bound first, then the lower one", 7)
{
	s32 x = IN(s32);

	CATCH;
	bpf_assert_lt(x, 8);
	bpf_assert_ge(x, 0);
	room[x]++;
	return 6;
}

HOLDS(any_order_narrow, "the same, signed char", 7)
{
	signed char x = IN(signed char);

	CATCH;
	bpf_assert_lt(x, 8);
	bpf_assert_ne(x, 5);
	bpf_assert_ge(x, 0);
	room[x]++;
	return 6;
}

HOLDS(parentheses, "a variable in parentheses is still one", 7)
{
	u32 x = IN(u32);

	CATCH;
	hide(x);
	bpf_assert_lt((x), 8);
	room[x]++;
	return 6;
}

HOLDS(reused, "also if it was used for an address before", 7)
{
	u64 x = IN(u64);
	u64 *p = &room[x & 7];

	CATCH;
	*p += x + 1;
	bpf_assert_lt(x, 8);
	room[x]++;
	return 6;
}

HOLDS(over_a_call, "the bound outlives calls and spills", 7)
{
	u64 a = IN(u64), b = IN(u64), c = IN(u64), d = IN(u64), e = IN(u64), f = IN(u64);
	s32 x = IN(s32);
	u8 y = IN(u8);

	CATCH;
	bpf_assert_range(x, 0, 7);
	bpf_assert_lt(y, 8);
	a += bpf_ktime_get_ns();
	hide(b);
	hide(c);
	hide(d);
	hide(e);
	hide(f);
	b += bpf_ktime_get_ns();
	room[x] = a + b + c + d + e + f;
	room[y] = a ^ b ^ c ^ d ^ e ^ f;
	return 6;
}

HOLDS(in_a_loop, "in a loop, on the loop's variable", 7)
{
	u64 sum = 0;
	u32 n = IN(u32);

	CATCH;
	for (u32 i = 0; i < 100 && i <= n; i++) {
		bpf_assert_lt(i, 8);
		sum += room[i];
	}
	return sum == 12345 ? 7 : 6;
}

THROWS(in_a_loop_throws, "in a loop, until it throws", 50, 42)
{
	u64 sum = 0;
	u32 n = IN(u32);

	CATCH;
	for (u32 i = 0; i < 100 && i <= n; i++) {
		bpf_assert_lt_value(i, 8, 42);
		sum += room[i];
	}
	return sum == 12345 ? 7 : 6;
}

static __always_inline u32 checked(u32 x, u32 most)
{
	bpf_assert_le(x, most);
	return x;
}

HOLDS(inlined, "in inlined functions, constant there", 3)
{
	CATCH;
	room[checked(IN(u32), 7)]++;
	room[checked(IN(u32) + 4, 7)]++;
	return 6;
}

__global int not_inlined(u32 x)
{
	bpf_assert_le_value(x, 7, 42);
	return room[x] == 12345 ? 7 : 6;
}

HOLDS(in_global, "on a parameter of a global function", 7)
{
	CATCH;
	return not_inlined(IN(u32));
}

THROWS(in_global_throws, "on a parameter of a global function: throws", 8, 42)
{
	CATCH;
	return not_inlined(IN(u32));
}

/* Right-hand sides that aren't constant */

HOLDS(not_constant, "RHS is a const volatile global: bound known", 7)
{
	u32 x = IN(u32), most = limit;

	CATCH;
	bpf_assert_lt(x, most);
	room[x]++;
	return 6;
}

THROWS(not_constant_throws, "RHS is a const volatile global: throws", 8, 16)
{
	u32 x = IN(u32);

	CATCH;
	bpf_assert_lt(x, limit);
	room[x]++;
	return 6;
}

HOLDS(not_constant_signed, "the same, signed, narrower than LHS", 7)
{
	s32 x = IN(s32);

	CATCH;
	bpf_assert_ge(x, 0);
	bpf_assert_lt(x, narrow_limit);
	bpf_assert_lt(x, signed_limit);
	room[x]++;
	return 6;
}

HOLDS(not_constant_range, "a range that ends with one", 7)
{
	s32 x = IN(s32);

	CATCH;
	bpf_assert_range(x, 1, signed_limit);
	room[x - 1]++;
	return 6;
}

#define LEAST(name, type, min)							\
THROWS(least_##name, "nothing is less than the least " #type ", not constant", min, 16)\
{										\
	type x = IN(type), rhs = IN(type);					\
										\
	CATCH;									\
	hide(rhs);								\
	bpf_assert_lt(x, rhs);							\
	return 6;								\
}
LEAST(s8, __s8, -128)
LEAST(s32, __s32, -2147483648)
LEAST(s64, __s64, -9223372036854775807)

#define MOST(name, type, max)							\
THROWS(most_##name, "nothing is greater than the greatest " #type ", not constant", max, 16)\
{										\
	type x = IN(type), rhs = IN(type);					\
										\
	CATCH;									\
	hide(rhs);								\
	bpf_assert_gt(x, rhs);							\
	return 6;								\
}
MOST(s8, __s8, 127)
MOST(s32, __s32, 2147483647)
MOST(u64, __u64, 0xffffffffffffffff)

/* Left-hand sides that aren't variables */

HOLDS(on_global, "a global: the bound holds for the value that was compared", 7)
{
	CATCH;
	bpf_assert_lt(input, 8);
	room[input]++;
	return 6;
}

__u32 stored = 5;

PROG(global_untouched, __test("a global is not written to") __input(stored, 5)
     __expect(stored, 77) __returns(6))
{
	CATCH;
	bpf_assert_lt(stored, ({ stored = 77; 100U; }));
	return 6;
}

HOLDS(on_const, "a const variable", 7)
{
	const u64 x = IN(u64);

	CATCH;
	bpf_assert_lt(x, 8);
	room[x]++;
	return 6;
}

HOLDS(on_expression, "an expression", 3)
{
	u32 x = IN(u32);

	CATCH;
	bpf_assert_eq(x * 2 + 1, 7);
	bpf_assert_range(x + 1, 4, 4);
	bpf_assert_gt(-1, -2);
	return 6;
}

HOLDS(on_context, "a field of the context", 0)
{
	CATCH;
	bpf_assert_ge(ctx->len, 14);
	bpf_assert_range(ctx->len, 14, 1 << 16);
	return 6;
}

/* Statements */

__subprog u64 count(u64 x)
{
	calls++;
	return x;
}

PROG(once_each, __test("evaluates each argument once") __input(calls, 0)
     __expect(calls, 17) __returns(6))
{
	u64 x = 5;

	CATCH;
	hide(x);
	bpf_assert_eq_value(count(x), count(5), count(1));
	bpf_assert_le_value(count(x), count(5), count(1));
	bpf_assert_range_with(count(x), count(4), count(6), count(1));
	bpf_assert_with(count(x), count(1));
	bpf_assert(count(x) == 5);
	bpf_assert_lt(count(x), 6);
	bpf_assert_range(count(x), 0, 6);
	bpf_assert_gt(count(x), count(4));
	return 6;
}

PROG(once_each_side_effect, __test("evaluates x++ once") __returns(6))
{
	u32 x = 5;
	volatile u32 y = 5;

	CATCH;
	hide(x);
	bpf_assert_eq(x++, 5);
	bpf_assert_range(x++, 6, 6);
	bpf_assert(x++ == 7);
	bpf_assert_lt(y++, 6);
	return x == 8 && y == 6 ? 6 : 7;
}

THROWS(dangling_else, "an else stays with its if", 0, 42)
{
	u32 x = IN(u32);

	CATCH;
	if (x)
		bpf_assert_eq(x, 1);
	else
		bpf_assert_ne_value(x, 0, 42);
	return 6;
}

#define DANGLING(name, assertion)						\
HOLDS(dangling_##name, "under an if that does not hold: " #assertion, 0)	\
{										\
	u32 x = IN(u32);							\
										\
	CATCH;									\
	if (x)									\
		assertion;							\
	else									\
		return 6;							\
	return 7;								\
}
DANGLING(bpf_assert, bpf_assert(x == 3))
DANGLING(range, bpf_assert_range(x, 1, 5))
DANGLING(lt, bpf_assert_lt(x, 5))

THROWS(one_line, "several in a line", 7, 3)
{
	u32 x = IN(u32);

	CATCH;
	bpf_assert_lt_value(x, 9, 1); bpf_assert_gt_value(x, 5, 2); bpf_assert_eq_value(x, 8, 3);
	return 6;
}

HOLDS(nested, "one within the argument of another", 4)
{
	CATCH;
	bpf_assert_lt(({ u32 y = IN(u32); bpf_assert_ge(y, 4); y + 1; }), 6);
	return 6;
}

PROG(wide_cookie, __test("a cookie of 64 bits, not constant") __input(input, 0x100000005)
     __returns(5))
{
	u64 x = IN(u64);

	CATCH;
	bpf_assert_lt_value(x, 4, x);
	return 6;
}

/* The two that take any condition */

HOLDS(condition, "bpf_assert() holds", 7)
{
	u64 x = IN(u64);
	u64 *p = &room[0];

	CATCH;
	bpf_assert(x);
	bpf_assert(x == 7 && p);
	bpf_assert_with(x > 6, 42);
	return 6;
}

THROWS(condition_throws, "bpf_assert() throws 0", 0, 16)
{
	CATCH;
	bpf_assert(IN(u64) == 7);
	return 6;
}

THROWS(condition_throws_value, "bpf_assert_with() throws the value", 6, 42)
{
	u64 x = IN(u64);

	CATCH;
	bpf_assert(x);
	bpf_assert_with(x > 6, 42);
	return 6;
}

HOLDS(condition_again, "a condition that is tested again later on", 7)
{
	u64 x = IN(u64);

	CATCH;
	bpf_assert(x);
	if (!x)
		return 5;
	bpf_assert(x);
	calls += x;
	if (x)
		return 6;
	return 4;
}

#define NO_CALLBACK(name, assertion)						\
PROG(no_callback_##name, __test("without a callback: " #assertion) __input(input, 1) __returns(0))\
{										\
	u64 x = IN(u64);							\
										\
	assertion;								\
	return 6;								\
}
NO_CALLBACK(eq, bpf_assert_eq(x, 5))
NO_CALLBACK(value, bpf_assert_eq_value(x, 5, 42))
NO_CALLBACK(condition, bpf_assert(x == 5))

/* Throws in functions that may still return: the compiler has to know */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} table SEC(".maps");

u64 after;

SEC("tc") int target_20(struct __sk_buff *ctx)
{
	return 20;
}

SEC("tc") int target_0(struct __sk_buff *ctx)
{
	return 0;
}

__subprog int tail_call_statement(struct __sk_buff *ctx)
{
	bpf_tail_call_or_throw(ctx, &table, 0, 42);
}

__subprog int tail_call_returned(struct __sk_buff *ctx)
{
	return bpf_tail_call_or_throw(ctx, &table, 0, 42);
}

/* The code after it doesn't matter, neither for control flow nor for the return value. */
__subprog int tail_call_and_return(struct __sk_buff *ctx)
{
	bpf_tail_call_or_throw(ctx, &table, 0, 42);
	return 5;
}

__global int tail_call_global(struct __sk_buff *ctx)
{
	return bpf_tail_call_or_throw(ctx, &table, 0, 42);
}

__subprog int tail_call_below(struct __sk_buff *ctx)
{
	return tail_call_returned(ctx);
}

__subprog int tail_call_sometimes(struct __sk_buff *ctx)
{
	if (read_input() == 1)
		return bpf_tail_call_or_throw(ctx, &table, 0, 42);
	return 8;
}

__subprog unsigned long tail_call_unsigned(struct __sk_buff *ctx)
{
	return bpf_tail_call_or_throw(ctx, &table, 0, 42);
}

#define TAIL_CALL(name, target, ret, tags, call)				\
PROG(name, __test(#call ", " #target) tags __input(input, 1) __input(after, 0)	\
     __expect(after, 1) __returns(ret))						\
{										\
	int value = 20;								\
										\
	CATCH;									\
	call;									\
	after = 1;								\
	return value ? value + 1 : 99;						\
}
#define TO_20 __tail_call(table, 0, target_20)
#define TO_0 __tail_call(table, 0, target_0)
TAIL_CALL(tail_statement, target_20, 21, TO_20, value = tail_call_statement(ctx))
TAIL_CALL(tail_statement_0, target_0, 99, TO_0, value = tail_call_statement(ctx))
TAIL_CALL(tail_returned, target_20, 21, TO_20, value = tail_call_returned(ctx))
TAIL_CALL(tail_returned_0, target_0, 99, TO_0, value = tail_call_returned(ctx))
TAIL_CALL(tail_and_return, target_20, 21, TO_20, value = tail_call_and_return(ctx))
TAIL_CALL(tail_global, target_20, 21, TO_20, value = tail_call_global(ctx))
TAIL_CALL(tail_global_0, target_0, 99, TO_0, value = tail_call_global(ctx))
TAIL_CALL(tail_below, target_20, 21, TO_20, value = tail_call_below(ctx))
TAIL_CALL(tail_sometimes, target_20, 21, TO_20, value = tail_call_sometimes(ctx))
TAIL_CALL(tail_unsigned, target_20, 21, TO_20, value = tail_call_unsigned(ctx))

#define TAIL_CALL_FAILS(name, call)						\
PROG(name##_throws, __test(#call ", nothing to call: throws") __input(input, 1)	\
     __input(after, 0) __expect(after, 0) __returns(42))			\
{										\
	CATCH;									\
	call;									\
	after = 1;								\
	return 6;								\
}
TAIL_CALL_FAILS(tail_statement, tail_call_statement(ctx))
TAIL_CALL_FAILS(tail_returned, tail_call_returned(ctx))
TAIL_CALL_FAILS(tail_global, tail_call_global(ctx))
TAIL_CALL_FAILS(tail_below, tail_call_below(ctx))
TAIL_CALL_FAILS(tail_sometimes, tail_call_sometimes(ctx))

PROG(tail_main, __test("bpf_tail_call_or_throw() in main, target_20") TO_20 __returns(20))
{
	CATCH;
	bpf_tail_call_or_throw(ctx, &table, 0, 42);
}

PROG(tail_main_throws, __test("bpf_tail_call_or_throw() in main, nothing to call: throws") __returns(42))
{
	CATCH;
	return bpf_tail_call_or_throw(ctx, &table, 0, 42);
}

unsigned long long load_byte(void *skb, unsigned long long offset) asm("llvm.bpf.load.byte");

/* The packet of a test run is all zeros; past its end, LD_ABS and LD_IND return 0. */
#define PACKET_LOAD(name, where, ret)						\
__subprog int name##_or_throw(struct __sk_buff *ctx)				\
{										\
	return bpf_throw_returning(load_byte(ctx, where) + 7);			\
}										\
PROG(name, __test("bpf_throw_returning() behind a packet load, " #where)	\
     __input(input, 4000) __returns(ret))					\
{										\
	CATCH;									\
	return name##_or_throw(ctx) + 1;					\
}
PACKET_LOAD(ld_abs_inside, 3, 7)
PACKET_LOAD(ld_abs_outside, 4000, 1)
PACKET_LOAD(ld_ind_outside, read_input(), 1)

/* Compares */

#define COMPARE(name, type, op, rhs, yes, no)					\
HOLDS(cmp_##name, #type " " #op " " #rhs ": as in C", yes)			\
{										\
	type x = IN(type), y = (type)no;					\
										\
	CATCH;									\
	hide(y);								\
	if (!bpf_cmp_likely(x, op, rhs) || !bpf_cmp_unlikely(x, op, rhs) ||	\
	    bpf_cmp_likely(y, op, rhs) || bpf_cmp_unlikely(y, op, rhs))		\
		return 7;							\
	bpf_assert(bpf_cmp_likely(x, op, rhs));					\
	bpf_assert_with(!bpf_cmp_unlikely(y, op, rhs), 42);			\
	return 6;								\
}
COMPARE(eq_u64, u64, ==, 5, 5, 6)
COMPARE(ne_u64, u64, !=, 5, 6, 5)
COMPARE(lt_u64, u64, <, 5, 4, 5)
COMPARE(le_u64, u64, <=, 5, 5, 6)
COMPARE(gt_u64, u64, >, 5, -1, 5)
COMPARE(ge_u64, u64, >=, 5, 5, 4)
COMPARE(lt_s64, s64, <, 5, -6, 5)
COMPARE(le_s64, s64, <=, -5, -5, -4)
COMPARE(gt_s64, s64, >, -5, -4, -5)
COMPARE(ge_s64, s64, >=, -5, -5, -6)
COMPARE(lt_s32, s32, <, 0, -1, 0)
COMPARE(eq_s32, s32, ==, -1, -1, 1)
COMPARE(gt_u32, u32, >, 0x80000000, 0xffffffff, 5)
COMPARE(lt_u8, u8, <, 200, 199, 200)
COMPARE(ge_wide, u64, >=, 0x123456789abcdef, 0x123456789abcdef, 0x123456789abcdee)
COMPARE(lt_variable, s32, <, narrow_limit, -7, 8)
COMPARE(gt_wider, u32, >, (u64)limit, 9, 8)
COMPARE(lt_unsigned, s64, <, limit, -1, 8)

HOLDS(cmp_bound, "bpf_cmp_likely(): the bound is known", 7)
{
	u64 x = IN(u64);

	CATCH;
	if (bpf_cmp_likely(x, <, 8))
		room[x]++;
	bpf_assert_with(bpf_cmp_likely(x, <=, 7), 42);
	room[x]++;
	return 6;
}

PROG(cmp_once_each, __test("compares evaluate each argument once") __input(calls, 0)
     __expect(calls, 4) __returns(6))
{
	CATCH;
	return bpf_cmp_likely(count(5), >, count(4)) && bpf_cmp_unlikely(count(3), !=, count(2)) ? 6 : 7;
}

/* Mainline's names */

#define WITH(name, rel, rhs, yes, no)						\
THROWS(with_##name, "bpf_assert_" #rel "_with()", no, 42)			\
{										\
	u64 x = yes, y = IN(u64);						\
										\
	CATCH;									\
	hide(x);								\
	bpf_assert_##rel##_with(x, rhs, 43);					\
	bpf_assert_##rel##_with(y, rhs, 42);					\
	return 6;								\
}
WITH(eq, eq, 5, 5, 6)
WITH(ne, ne, 5, 6, 5)
WITH(lt, lt, 5, 4, 5)
WITH(gt, gt, 5, 6, 5)
WITH(le, le, 5, 5, 6)
WITH(ge, ge, 5, 5, 4)
