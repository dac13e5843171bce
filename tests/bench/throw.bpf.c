// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a throw costs, frame by frame, and what an error code costs that is handed up through
 * the same frames. The same source is measured on our kernel and on mainline's.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern void bpf_throw(__u64 cookie) __ksym __attribute__((noreturn));

#define hide(var) asm volatile("" : "+r"(var))

char _license[] SEC("license") = "GPL";

__u64 input = 1;

SEC("tc") int empty(struct __sk_buff *ctx)
{
	return 0;
}

#define ERROR -22

static __attribute__((noinline)) int leaf_throw(struct __sk_buff *ctx, __u64 a)
{
	volatile __u64 buf[2] = { a, a };

	if (input)
		bpf_throw(buf[1]);
	return buf[0];
}

static __attribute__((noinline)) int leaf_errcode(struct __sk_buff *ctx, __u64 a)
{
	volatile __u64 buf[2] = { a, a };

	if (input)
		return ERROR;
	return buf[0];
}

/* A frame with stack and callee-saved registers in use */
#define FRAME(kind, depth, level, next, check)						\
static __attribute__((noinline)) int kind##depth##_##level(struct __sk_buff *ctx, __u64 a) \
{											\
	volatile __u64 buf[2] = { a, a + 1 };						\
	__u64 c = buf[0], d = buf[1];							\
	int ret;									\
											\
	hide(c);									\
	hide(d);									\
	ret = next(ctx, c);								\
	check;										\
	return ret + c + d;								\
}

#define MAIN(kind, depth, first, check)							\
SEC("tc") int kind##_##depth(struct __sk_buff *ctx)					\
{											\
	__u64 c = input, d = c;								\
	int ret;									\
											\
	hide(c);									\
	hide(d);									\
	ret = first(ctx, c);								\
	check;										\
	return ret + c + d;								\
}

#define CHAINS(kind, check)								\
MAIN(kind, 1, leaf_##kind, check)							\
FRAME(kind, 2, 1, leaf_##kind, check)							\
MAIN(kind, 2, kind##2_1, check)								\
FRAME(kind, 3, 2, leaf_##kind, check)							\
FRAME(kind, 3, 1, kind##3_2, check)							\
MAIN(kind, 3, kind##3_1, check)								\
FRAME(kind, 4, 3, leaf_##kind, check)							\
FRAME(kind, 4, 2, kind##4_3, check)							\
FRAME(kind, 4, 1, kind##4_2, check)							\
MAIN(kind, 4, kind##4_1, check)								\
FRAME(kind, 5, 4, leaf_##kind, check)							\
FRAME(kind, 5, 3, kind##5_4, check)							\
FRAME(kind, 5, 2, kind##5_3, check)							\
FRAME(kind, 5, 1, kind##5_2, check)							\
MAIN(kind, 5, kind##5_1, check)								\
FRAME(kind, 6, 5, leaf_##kind, check)							\
FRAME(kind, 6, 4, kind##6_5, check)							\
FRAME(kind, 6, 3, kind##6_4, check)							\
FRAME(kind, 6, 2, kind##6_3, check)							\
FRAME(kind, 6, 1, kind##6_2, check)							\
MAIN(kind, 6, kind##6_1, check)								\
FRAME(kind, 7, 6, leaf_##kind, check)							\
FRAME(kind, 7, 5, kind##7_6, check)							\
FRAME(kind, 7, 4, kind##7_5, check)							\
FRAME(kind, 7, 3, kind##7_4, check)							\
FRAME(kind, 7, 2, kind##7_3, check)							\
FRAME(kind, 7, 1, kind##7_2, check)							\
MAIN(kind, 7, kind##7_1, check)

#define NOTHING
CHAINS(throw, NOTHING)
CHAINS(errcode, if (ret < 0) return ret)

SEC("tc") int throw_0(struct __sk_buff *ctx)
{
	__u64 c = input, d = c;

	hide(c);
	hide(d);
	if (input)
		bpf_throw(c);
	return c + d;
}

SEC("tc") int errcode_0(struct __sk_buff *ctx)
{
	__u64 c = input, d = c;

	hide(c);
	hide(d);
	if (input)
		return ERROR;
	return c + d;
}
