// SPDX-License-Identifier: GPL-2.0-only
/*
 * One object for 6.1 and for mainline. Compiled with
 * BPF_EXCEPTIONS_PORTABLE, and run on both.
 */
#include "../bpf/test.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} jmp_table SEC(".maps");

/* The input decides at run time: 0 holds, anything else throws */
__u64 throws, passed, length, reached;
__u64 room[8] SEC(".data.room");
const volatile __u32 limit = 8;

__catcher int cookie_minus_4(__u64 cookie)
{
	return cookie - 4;
}

__catcher int narrow_cookie(int cookie)
{
	return cookie + 1;
}

__catcher int cookie_to_room(__u64 cookie)
{
	room[cookie & 7] = cookie;
	return bpf_get_smp_processor_id() < 4096 ? cookie : -1;
}

__subprog int plus_2(__u64 x)
{
	return x + 2;
}

__catcher int cookie_by_subprog(__u64 cookie)
{
	char buf[128];

	__builtin_memset(buf, 1, sizeof(buf));
	hide(cookie);
	return plus_2(cookie) + buf[cookie & 127] - 1;
}

__subprog int static_throw(__u64 cookie)
{
	if (throws)
		bpf_throw(cookie);
	passed++;
	return 1;
}

__global int global_throw(__u64 cookie)
{
	if (throws)
		bpf_throw(cookie);
	passed++;
	return 1;
}

__subprog int static_level2(__u64 cookie)
{
	int ret = global_throw(cookie);

	hide(ret);
	return ret;
}

__global int global_level2(__u64 cookie)
{
	int ret = static_throw(cookie);

	hide(ret);
	return ret;
}

#define DEPTH(name, func, what)							\
SEC("tc") __test("throw in " what ", no callback: the cookie") __input(throws, 1)	\
__returns(64) __expect(passed, 0)						\
int name##_default(struct __sk_buff *ctx)					\
{										\
	int ret = func(64);							\
										\
	passed++;								\
	return ret;								\
}										\
SEC("tc") __test("throw in " what ", callback: cookie - 4") __input(throws, 1)	\
__catch(cookie_minus_4) __returns(60) __expect(passed, 0)			\
int name##_callback(struct __sk_buff *ctx)					\
{										\
	int ret = func(64);							\
										\
	passed++;								\
	return ret;								\
}										\
SEC("tc") __test("no throw in " what) __catch(cookie_minus_4) __input(throws, 0) \
__returns(1) __expect(passed, 1)						\
int name##_holds(struct __sk_buff *ctx)						\
{										\
	return func(64);							\
}

static __always_inline int main_throw(__u64 cookie)
{
	if (throws)
		bpf_throw(cookie);
	passed++;
	return 1;
}

DEPTH(main, main_throw, "main")
DEPTH(static1, static_throw, "a static function")
DEPTH(global1, global_throw, "a global function")
DEPTH(static2, static_level2, "a global function below a static one")
DEPTH(global2, global_level2, "a static function below a global one")

/* Seven frames below main, each with stack and live registers */
__subprog int deep7(__u64 a, __u64 b)
{
	volatile __u64 buf[3] = { a, b, a + b };

	if (throws)
		bpf_throw(buf[2]);
	passed++;
	return 1;
}

#define FRAME(n, next)								\
__subprog int deep##n(__u64 a, __u64 b)						\
{										\
	volatile __u64 buf[3] = { a, b, a + b };				\
	__u64 c = buf[2], d = buf[0];						\
	int ret;								\
										\
	hide(c);								\
	hide(d);								\
	ret = next(a, b);							\
	return ret + c + d - a - b - a + buf[1] - b;				\
}
FRAME(6, deep7) FRAME(5, deep6) FRAME(4, deep5) FRAME(3, deep4) FRAME(2, deep3) FRAME(1, deep2)
#define deep1_of(cookie) deep1((cookie) - 24, 24)
DEPTH(deep, deep1_of, "the deepest frame")

/* --- callbacks ---------------------------------------------------------------------- */

SEC("tc") __test("the callback's argument is an int") __catch(narrow_cookie) __input(throws, 1)
__returns(42)
int callback_int(struct __sk_buff *ctx)
{
	return static_throw(41);
}

SEC("tc") __test("the callback writes to a map and calls a helper") __catch(cookie_to_room)
__input(throws, 1) __returns(13)
int callback_helper(struct __sk_buff *ctx)
{
	return static_throw(13);
}

SEC("tc") __test("the callback has a stack and calls a function") __catch(cookie_by_subprog)
__input(throws, 1) __returns(9)
int callback_subprog(struct __sk_buff *ctx)
{
	return global_throw(7);
}

SEC("tc") __test("a cookie of 64 bits reaches the callback") __catch(high_half) __input(throws, 1)
__returns(0x89abcdef)
int callback_wide(struct __sk_buff *ctx)
{
	return static_throw(0x89abcdef01234567ULL);
}

__catcher int high_half(__u64 cookie)
{
	return cookie >> 32;
}

SEC("xdp") __test("xdp: throw, and the callback's value") __catch(cookie_minus_4) __input(throws, 1)
__returns(2)
int callback_xdp(struct xdp_md *ctx)
{
	return static_throw(6);
}

SEC("lsm/task_getpgid") __test("lsm: the callback denies") __catch(deny) __input(throws, 1) __denied
__expect(reached, 7)
int BPF_PROG(callback_lsm, struct task_struct *p)
{
	static_throw(7);
	return 0;
}

__catcher int deny(__u64 cookie)
{
	reached = cookie;
	return -1;
}

/* --- what may not be returned --------------------------------------------------------- */

SEC("fentry/bpf_fentry_test1") __test("fentry throws a cookie that it may not return")
__refused("At program exit the register R1 has")
int BPF_PROG(fentry_cookie, int a)
{
	if (a != 123456)
		bpf_throw(64);
	return 0;
}

SEC("fentry/bpf_fentry_test1") __test("fentry throws 0, as it may") __expect(passed, 0)
int BPF_PROG(fentry_0, int a)
{
	if (a != 123456)
		bpf_throw(0);
	passed++;
	return 0;
}

SEC("fentry/bpf_fentry_test1") __test("fentry has a callback that returns what it may not")
__catch(cookie_minus_4) __refused("At program exit the register R0 has")
int BPF_PROG(fentry_callback, int a)
{
	if (a != 123456)
		bpf_throw(64);
	return 0;
}

/* --- boundaries ----------------------------------------------------------------------- */

SEC("tc") __catch(cookie_minus_4) int target(struct __sk_buff *ctx)
{
	bpf_throw(46);
	return 0;
}

__subprog int tail_call(struct __sk_buff *ctx)
{
	int ret = 100;

	hide(ret);	/* or the compiler takes it for what all callers get */
	bpf_tail_call(ctx, &jmp_table, 0);
	return ret;
}

SEC("tc") __test("a tail call's target throws: its callback's value, and the caller goes on")
__tail_call(jmp_table, 0, target) __returns(50)
int tail_call_target(struct __sk_buff *ctx)
{
	int ret = tail_call(ctx);

	hide(ret);
	return ret + 8;
}

SEC("tc") __test("main tail-calls or throws: the target's value") __tail_call(jmp_table, 0, target)
__catch(cookie_by_subprog) __returns(42)
int tail_call_main(struct __sk_buff *ctx)
{
	return bpf_tail_call_or_throw(ctx, &jmp_table, 0, 5);
}

SEC("tc") __test("main tail-calls or throws: the throw") __catch(cookie_by_subprog) __returns(7)
int tail_call_misses(struct __sk_buff *ctx)
{
	return bpf_tail_call_or_throw(ctx, &jmp_table, 1, 5);
}

SEC("tc") __test("main returns a throw that the compiler takes for a value") __input(throws, 1)
__returns(33)
int throw_returning(struct __sk_buff *ctx)
{
	if (throws)
		return bpf_throw_returning(33);
	return 1;
}

__global int replaced(struct __sk_buff *ctx)
{
	int ret = 1;

	hide(ret);
	return ret;
}

SEC("freplace/replaced") __on(replaced) __catch(cookie_minus_4) int ext_callback(struct __sk_buff *ctx)
{
	bpf_throw(14);
	return 0;
}

SEC("freplace/replaced") __on(replaced) int ext_default(struct __sk_buff *ctx)
{
	bpf_throw(14);
	return 0;
}

SEC("tc") __test("a function's replacement throws: its callback's value, and the caller goes on")
__with(ext_callback) __catch(cookie_by_subprog) __returns(15)
int freplace_callback(struct __sk_buff *ctx)
{
	return replaced(ctx) + 5;
}

SEC("tc") __test("a function's replacement throws without a callback: the cookie")
__with(ext_default) __returns(19)
int freplace_default(struct __sk_buff *ctx)
{
	return replaced(ctx) + 5;
}

SEC("fentry/static_throw") __on(static_throw) int BPF_PROG(enter)
{
	reached++;
	return 0;
}

SEC("tc") __test("fentry on a function that throws") __with(enter) __catch(cookie_minus_4)
__input(throws, 1) __returns(60) __expect(reached, 1)
int fentry_attached(struct __sk_buff *ctx)
{
	return static_throw(64);
}

/* --- assertions, and what the verifier learns ------------------------------------------- */

#define ASSERTION(name, desc, in, ret, ...)					\
SEC("tc") __test(desc) __input(length, in) __returns(ret)			\
__catch(cookie_minus_4) int name(struct __sk_buff *ctx)				\
{										\
	__u64 x = length;							\
										\
	hide(x);								\
	__VA_ARGS__;								\
	hide(x);								\
	room[x]++;								\
	return 6;								\
}

#define RELATION(rel, yes, no, rhs, ...)					\
ASSERTION(rel##_holds, "bpf_assert_" #rel " holds", yes, 6,			\
	  __VA_ARGS__; bpf_assert_##rel##_value(x, rhs, 20))			\
ASSERTION(rel##_throws, "bpf_assert_" #rel " throws", no, 16,			\
	  __VA_ARGS__; bpf_assert_##rel##_value(x, rhs, 20))
RELATION(lt, 7, 8, 8)
RELATION(le, 7, 8, 7)
RELATION(eq, 7, 6, 7)
RELATION(gt, 3, 2, 2, bpf_assert_lt(x, 8))
RELATION(ge, 3, 2, 3, bpf_assert_lt(x, 8))
RELATION(ne, 3, 2, 2, bpf_assert_lt(x, 8))
ASSERTION(range_holds, "bpf_assert_range holds", 7, 6, bpf_assert_range_with(x, 2, 7, 20))
ASSERTION(range_throws, "bpf_assert_range throws", 1, 16, bpf_assert_range_with(x, 2, 7, 20))
ASSERTION(cond_holds, "bpf_assert holds", 3, 6, bpf_assert_lt(x, 8); bpf_assert_with(x == 3, 20))
ASSERTION(cond_throws, "bpf_assert throws", 2, 16, bpf_assert_lt(x, 8); bpf_assert_with(x == 3, 20))
ASSERTION(cmp_holds, "bpf_cmp_likely in bpf_assert holds", 3, 6,
	  bpf_assert_with(bpf_cmp_likely(x, <, 8), 20))
ASSERTION(cmp_throws, "bpf_cmp_likely in bpf_assert throws", 8, 16,
	  bpf_assert_with(bpf_cmp_likely(x, <, 8), 20))
ASSERTION(unlikely_throws, "bpf_cmp_unlikely around a throw", 8, 16,
	  if (bpf_cmp_unlikely(x, >=, 8))
		bpf_throw(20))
ASSERTION(wide, "bpf_assert_lt with a constant of 64 bits", 7, 6,
	  bpf_assert_lt(x, 0x123456789abcULL); bpf_assert_lt(x, 8))
ASSERTION(variable, "bpf_assert_lt with a const volatile variable", 8, 16,
	  bpf_assert_lt_value(x, limit, 20))
ASSERTION(several, "several assertions throw the same, and share it", 1, 16,
	  bpf_assert_lt_value(x, 8, 20); bpf_assert_ge_value(x, 2, 20);
	  bpf_assert_ne_value(x, 5, 20))

SEC("tc") __test("without the assertion, the access is refused") __refused("map_value")
int unbounded(struct __sk_buff *ctx)
{
	__u64 x = length;

	hide(x);
	room[x]++;
	return 6;
}
