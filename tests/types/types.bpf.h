/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs of all types, which differ only in what they are attached to: each gets to an assertion
 * in a subprogram, which fails if the test wants it to.
 */
#ifndef _TYPES_BPF_H
#define _TYPES_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../../bpf/bpf_exceptions.h"
#include "told.h"

const volatile struct told told SEC(".rodata.types");
struct tally tally SEC(".bss.types");

static __attribute__((noinline)) int assertion(__u64 cookie)
{
	volatile __u64 buf[4] = { cookie, cookie, cookie, cookie };

	__sync_fetch_and_add(&tally.reached, 1);
	if (tally.throws)
		bpf_throw(buf[1]);
	__sync_fetch_and_add(&tally.passed, 1);
	return buf[2];
}

/* One more frame between the main program and the throw */
static __attribute__((noinline)) int assert_deep(__u64 cookie)
{
	volatile __u64 kept = cookie;

	return assertion(cookie + 1) + kept;
}

static __attribute__((noinline)) int verdict(__u64 cookie)
{
	return told.verdict;
}

/*
 * Programs on_@name and on_@name_cb, without and with a callback. What else they do, before they
 * get to the assertion, follows @ctx_type.
 */
#define HOOK(name, section, ctx_type, ...)			\
	SEC(section) int on_##name(ctx_type ctx)		\
	{							\
		__VA_ARGS__					\
		assert_deep(5);					\
		return told.own;				\
	}							\
								\
	SEC(section) int on_##name##_cb(ctx_type ctx)		\
	{							\
		bpf_set_exception_callback(verdict);		\
		__VA_ARGS__					\
		assert_deep(5);					\
		return told.own;				\
	}

char _license[] SEC("license") = "GPL";

#endif /* _TYPES_BPF_H */
