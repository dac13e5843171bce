// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to throw in a helper's callback, and that it may be done.
 *
 * throw_each_I throws at element I, from one frame below the callback of bpf_for_each_map_elem();
 * errors_each_I hands an error code up to the callback, which keeps it and stops the helper.
 *
 * may_CALLS_ROUNDS calls bpf_loop() CALLS times, for ROUNDS rounds each, with a callback that may
 * throw, but doesn't; never_CALLS_ROUNDS does so with one that does something else instead. Behind
 * each loop both call a helper that doesn't call back, and the function that may throw.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../../bpf/bpf_exceptions.h"

#define ERROR -22
#define noinline __attribute__((noinline))
/* Keep the compiler from knowing @var */
#define hide(var) asm volatile("" : "+r"(var))

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} array SEC(".maps");

__u64 input = 1;
volatile __u64 no_flags;

SEC("tc") int empty(struct __sk_buff *ctx)
{
	return 0;
}

/* --- stopped by a throw, or by an error code ------------------------------------------ */

#define EACH(i)									\
static noinline int throws_##i(__u32 key)					\
{										\
	if (key == i && input)							\
		bpf_throw(0);							\
	return 0;								\
}										\
static noinline int fails_##i(__u32 key)					\
{										\
	if (key == i && input)							\
		return ERROR;							\
	return 0;								\
}										\
static noinline long each_throws_##i(void *map, __u32 *key, __u64 *value, void *ctx)	\
{										\
	throws_##i(*key);							\
	return 0;								\
}										\
static noinline long each_fails_##i(void *map, __u32 *key, __u64 *value, int *error)	\
{										\
	*error = fails_##i(*key);						\
	return *error != 0;							\
}										\
SEC("tc") int throw_each_##i(struct __sk_buff *ctx)				\
{										\
	return bpf_for_each_map_elem(&array, each_throws_##i, NULL, 0);		\
}										\
SEC("tc") int errors_each_##i(struct __sk_buff *ctx)				\
{										\
	int error = 0;								\
	long ret = bpf_for_each_map_elem(&array, each_fails_##i, &error, 0);	\
										\
	return error ?: ret;							\
}

EACH(0)
EACH(7)

/* With an exception callback, which returns what errors_each_0 does */
static noinline int on_throw(__u64 cookie)
{
	return ERROR;
}

SEC("tc") int callback_each_0(struct __sk_buff *ctx)
{
	bpf_set_exception_callback(on_throw);
	return bpf_for_each_map_elem(&array, each_throws_0, NULL, 0);
}

/* --- nothing is thrown ---------------------------------------------------------------- */

#define CHECK(name, stmt)				\
static noinline int name(__u64 value)			\
{							\
	int ret = 0;					\
							\
	hide(ret);					\
	if (__builtin_expect(input != value, 0))		\
		stmt;					\
	return ret;					\
}							\
static noinline long loop_##name(__u32 i, void *ctx)	\
{							\
	return name(1);					\
}

CHECK(may, bpf_throw(0))
CHECK(never, input = 1)

#define LOOP(check, rounds)						\
	/* the verifier would inline it if it knew the flags */		\
	bpf_loop(rounds, loop_##check, NULL, no_flags);			\
	bpf_get_smp_processor_id();					\
	check(1);

#define LOOPS_1(...) LOOP(__VA_ARGS__)
#define LOOPS_4(...) LOOP(__VA_ARGS__) LOOP(__VA_ARGS__) LOOP(__VA_ARGS__) LOOP(__VA_ARGS__)

#define LOOPS(calls, rounds)						\
SEC("tc") int may_##calls##_##rounds(struct __sk_buff *ctx)		\
{									\
	LOOPS_##calls(may, rounds)					\
	return 0;							\
}									\
SEC("tc") int never_##calls##_##rounds(struct __sk_buff *ctx)		\
{									\
	LOOPS_##calls(never, rounds)					\
	return 0;							\
}

LOOPS(1, 1)
LOOPS(4, 1)
LOOPS(1, 64)
