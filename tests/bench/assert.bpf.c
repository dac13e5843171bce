// SPDX-License-Identifier: GPL-2.0-only
/*
 * What N checks that hold cost: as assertions (assert_N), as errors that are returned through the
 * callers (errors_N), and without checks (nothing_N). A subprogram has at most 16 checks, as
 * handwritten functions have few.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../../bpf/bpf_exceptions.h"

#define LIMIT 1000
#define ERROR -22

char _license[] SEC("license") = "GPL";

__u32 values[256];

/* Keep the compiler from forgetting where the values are or delaying the sum, or the forms would
 * differ by more than the checks; and make a caller continue after a call, or there would be no
 * error to propagate
 */
#define hide(var)		asm volatile("" : "+r"(var))

#define CHECK_assert(v)		bpf_assert_lt(v, LIMIT)
#define CHECK_errors(v)		if (v >= LIMIT) return ERROR
#define CHECK_nothing(v)
#define PASS_assert(ret)
#define PASS_errors(ret)	if (ret < 0) return ret
#define PASS_nothing(ret)

#define ONE(kind, i)		{ __u32 v = p[i]; CHECK_##kind(v); sum += v; hide(sum); }
#define FOUR(kind, i)		ONE(kind, i) ONE(kind, i + 1) ONE(kind, i + 2) ONE(kind, i + 3)
#define SIXTEEN(kind, i)	FOUR(kind, i) FOUR(kind, i + 4) FOUR(kind, i + 8) FOUR(kind, i + 12)

#define GROUP(kind, name, checks)					\
static __attribute__((noinline)) int kind##_group_##name(void)		\
{									\
	__u32 *p = values;						\
	int sum = 0;							\
									\
	hide(p);							\
	checks								\
	return sum;							\
}

#define CALL(kind, name)						\
	ret = kind##_group_##name();					\
	PASS_##kind(ret);						\
	sum += ret;							\
	hide(sum);

#define MAIN(kind, checks, calls)					\
SEC("tc") int kind##_##checks(struct __sk_buff *ctx)			\
{									\
	int ret, sum = 0;						\
									\
	calls								\
	return sum;							\
}

#define FOR_ALL(what)							\
	what(0) what(1) what(2) what(3) what(4) what(5) what(6) what(7)	\
	what(8) what(9) what(10) what(11) what(12) what(13) what(14) what(15)

#define KIND(kind)							\
GROUP(kind, none, sum = *p;)					\
GROUP(kind, one, ONE(kind, 0))						\
FOR_ALL(GROUP_##kind)							\
MAIN(kind, 0, CALL(kind, none))						\
MAIN(kind, 1, CALL(kind, one))						\
MAIN(kind, 16, CALL(kind, 0))						\
MAIN(kind, 256, FOR_ALL(CALL_##kind))

#define GROUP_assert(i)		GROUP(assert, i, SIXTEEN(assert, 16 * i))
#define GROUP_errors(i)		GROUP(errors, i, SIXTEEN(errors, 16 * i))
#define GROUP_nothing(i)	GROUP(nothing, i, SIXTEEN(nothing, 16 * i))
#define CALL_assert(i)		CALL(assert, i)
#define CALL_errors(i)		CALL(errors, i)
#define CALL_nothing(i)		CALL(nothing, i)

KIND(assert)
KIND(errors)
KIND(nothing)
