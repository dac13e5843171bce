// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a throw costs for each number of frames, with and without an exception callback, and what an
 * error code costs that is passed up through the same frames. Program KIND_N is KIND from depth N.
 * The same source is measured on our kernel and, with -DMAINLINE, on mainline's, where only the
 * declaration of the callback differs. With -DNO_EXCEPTIONS it can be loaded by any kernel.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern void bpf_throw(__u64 cookie) __ksym __attribute__((noreturn));

#ifdef MAINLINE
#define CALLBACK_TAG __attribute__((btf_decl_tag("exception_callback:on_throw")))
#define SET_CALLBACK()
#else
extern void bpf_set_exception_callback(int (*cb)(__u64 cookie)) __ksym;
#define CALLBACK_TAG
#define SET_CALLBACK() bpf_set_exception_callback(on_throw)
#endif

#define ERROR -22
#define noinline __attribute__((noinline))

/* Make @c and @d live across a call, hence in callee-saved registers */
#define keep(c, d) asm volatile("" : "+r"(c), "+r"(d) : : "r0", "r1", "r2", "r3", "r4", "r5")

char _license[] SEC("license") = "GPL";

__u64 input = 1;

noinline int on_throw(__u64 cookie)
{
	return cookie + 1;
}

SEC("tc") int empty(struct __sk_buff *ctx)
{
	return 0;
}

/* What each kind does at the bottom, and what a caller does afterwards */
#define END_throw(c)	bpf_throw(c)
#define END_callback(c)	bpf_throw(c)
#define END_errcode(c)	return ERROR
#define CHECK_throw
#define CHECK_callback
#define CHECK_errcode	if (ret < 0) return ret
#define TAG_throw
#define TAG_callback	CALLBACK_TAG
#define TAG_errcode
#define SET_throw()
#define SET_callback()	SET_CALLBACK()
#define SET_errcode()

/* Frame @level counts from the bottom; each has stack and callee-saved registers in use */
#define LEAF(kind, depth)							\
static noinline int kind##_##depth##_frame0(__u64 a)				\
{										\
	volatile __u64 buf[2] = { a, a + 1 };					\
	__u64 c = buf[0], d = buf[1];						\
										\
	keep(c, d);								\
	if (input)								\
		END_##kind(c);							\
	return c + d;								\
}

#define FRAME(kind, depth, level, next)						\
static noinline int kind##_##depth##_frame##level(__u64 a)			\
{										\
	volatile __u64 buf[2] = { a, a + 1 };					\
	__u64 c = buf[0], d = buf[1];						\
	int ret;								\
										\
	keep(c, d);								\
	ret = kind##_##depth##_frame##next(c);					\
	CHECK_##kind;								\
	return ret + c + d;							\
}

#define MAIN(kind, depth, next)							\
TAG_##kind SEC("tc") int kind##_##depth(struct __sk_buff *ctx)			\
{										\
	__u64 c = input, d = c;							\
	int ret;								\
										\
	SET_##kind();								\
	keep(c, d);								\
	ret = kind##_##depth##_frame##next(c);					\
	CHECK_##kind;								\
	return ret + c + d;							\
}

#define FRAMES0(kind, depth) LEAF(kind, depth)
#define FRAMES1(kind, depth) FRAMES0(kind, depth) FRAME(kind, depth, 1, 0)
#define FRAMES2(kind, depth) FRAMES1(kind, depth) FRAME(kind, depth, 2, 1)
#define FRAMES3(kind, depth) FRAMES2(kind, depth) FRAME(kind, depth, 3, 2)
#define FRAMES4(kind, depth) FRAMES3(kind, depth) FRAME(kind, depth, 4, 3)
#define FRAMES5(kind, depth) FRAMES4(kind, depth) FRAME(kind, depth, 5, 4)
#define FRAMES6(kind, depth) FRAMES5(kind, depth) FRAME(kind, depth, 6, 5)

#define KIND(kind)								\
TAG_##kind SEC("tc") int kind##_0(struct __sk_buff *ctx)			\
{										\
	__u64 c = input, d = c;							\
										\
	SET_##kind();								\
	keep(c, d);								\
	if (input)								\
		END_##kind(c);							\
	return c + d;								\
}										\
FRAMES0(kind, 1) MAIN(kind, 1, 0)						\
FRAMES1(kind, 2) MAIN(kind, 2, 1)						\
FRAMES2(kind, 3) MAIN(kind, 3, 2)						\
FRAMES3(kind, 4) MAIN(kind, 4, 3)						\
FRAMES4(kind, 5) MAIN(kind, 5, 4)						\
FRAMES5(kind, 6) MAIN(kind, 6, 5)						\
FRAMES6(kind, 7) MAIN(kind, 7, 6)

KIND(errcode)
#ifndef NO_EXCEPTIONS
KIND(throw)
KIND(callback)
#endif
