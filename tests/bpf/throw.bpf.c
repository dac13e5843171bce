// SPDX-License-Identifier: GPL-2.0-only
/* Throws from main and from subprograms, with and without a callback */
#include "test.h"

/* The input decides at run time: the assertion holds for 0 only */
__u64 throws;

int exception_16(__u64 cookie);

__subprog int returns_16(__u64 cookie)
{
	return 16;
}

__subprog int cookie_minus_4(__u64 cookie)
{
	return cookie - 4;
}

__subprog int static_throw(void)
{
	if (throws)
		bpf_throw(64);
	return 1;
}

__global int global_throw(struct __sk_buff *ctx)
{
	if (throws)
		bpf_throw(64);
	return 1;
}

__subprog int static_level2(struct __sk_buff *ctx)
{
	int ret = static_throw();

	hide(ret);
	return ret;
}

__global int global_level2(struct __sk_buff *ctx)
{
	int ret = global_throw(ctx);

	hide(ret);
	return ret;
}

SEC("tc") __test("throw in main, no callback: 0") __returns(0)
int main_throws(struct __sk_buff *ctx)
{
	bpf_throw(64);
	return 1;
}

SEC("tc") __test("throw in main, input decides: 0") __input(throws, 1) __returns(0)
int main_may_throw(struct __sk_buff *ctx)
{
	if (throws)
		bpf_throw(64);
	return 1;
}

SEC("tc") __test("assertion holds in main: 1") __input(throws, 0) __returns(1)
int main_holds(struct __sk_buff *ctx)
{
	if (throws)
		bpf_throw(64);
	return 1;
}

SEC("tc") __test("throw in main, callback returns 16") __returns(16)
int main_callback(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(returns_16);
	bpf_throw(64);
	return 1;
}

SEC("tc") __test("callback sees the cookie: 64 - 4") __returns(60)
int main_cookie(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(cookie_minus_4);
	bpf_throw(64);
	return 1;
}

#define DEPTH_TEST(name, func, what)						\
SEC("tc") __test("throw in a " what ", no callback: 0") __input(throws, 1) __returns(0) \
int name(struct __sk_buff *ctx)							\
{										\
	return func(ctx) + 0 * throws;						\
}										\
SEC("tc") __test("assertion holds in a " what ": 1") __input(throws, 0) __returns(1) \
int name##_holds(struct __sk_buff *ctx)						\
{										\
	return func(ctx);							\
}										\
SEC("tc") __test("throw in a " what ", callback: 16") __input(throws, 1) __returns(16) \
int name##_callback(struct __sk_buff *ctx)					\
{										\
	bpf_set_exception_callback(returns_16);					\
	return func(ctx);							\
}										\
SEC("tc") __test("throw in a " what ", cookie - 4: 60") __input(throws, 1) __returns(60) \
int name##_cookie(struct __sk_buff *ctx)					\
{										\
	bpf_set_exception_callback(cookie_minus_4);				\
	return func(ctx);							\
}

#define call_static(ctx) static_throw()
DEPTH_TEST(static1, call_static, "static subprogram")
DEPTH_TEST(static2, static_level2, "static subprogram two levels down")
DEPTH_TEST(global1, global_throw, "global subprogram")
DEPTH_TEST(global2, global_level2, "global subprogram two levels down")

/* Seven frames below main, each with stack and live registers */
#define FRAME(n, next)								\
__subprog int deep##n(struct __sk_buff *ctx, __u64 a, __u64 b)			\
{										\
	volatile __u64 buf[3] = { a, b, a + b };				\
	__u64 c = buf[2], d = buf[0];						\
	int ret;								\
										\
	hide(c);								\
	hide(d);								\
	ret = next;								\
	return ret + c + d - a - b - a + buf[1] - b;				\
}

__subprog int deep7(struct __sk_buff *ctx, __u64 a, __u64 b)
{
	volatile __u64 buf[3] = { a, b, a + b };

	if (throws)
		bpf_throw(buf[2]);
	return 1;
}

FRAME(6, deep7(ctx, 60, 4))
FRAME(5, deep6(ctx, c + 1, d + 2))
FRAME(4, deep5(ctx, c + 1, d + 2))
FRAME(3, deep4(ctx, c + 1, d + 2))
FRAME(2, deep3(ctx, c + 1, d + 2))
FRAME(1, deep2(ctx, c + 1, d + 2))
#define call_deep(ctx) deep1(ctx, 1, 2)
DEPTH_TEST(deepest, call_deep, "static subprogram seven frames below main")
