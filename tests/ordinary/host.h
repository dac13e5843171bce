/* SPDX-License-Identifier: GPL-2.0-only */
/* BPF exceptions on the host: replaces <bpf/bpf_helpers.h> and bpf_exceptions.h */
#ifndef _HOST_H
#define _HOST_H

#include <stddef.h>

enum type { TC, XDP };

void add_program(enum type type, const char *name, int (*run)(void *ctx), int (*callback)(__u64));
void bpf_throw(__u64 cookie) __attribute__((noreturn));
void *bpf_map_lookup_elem(void *map, const void *key);

extern struct state state;
#define count	state.count
#define sum	state.sum
#define half	state.half
#define small	state.small
#define seen	state.seen
#define values	state.values

#define NO_CALLBACK NULL
#define PROGRAM(type, section, ctx_type, name, callback)			\
	int name(ctx_type *ctx);						\
	static __attribute__((constructor)) void add_##name(void)		\
	{									\
		add_program(type, #name, (void *)name, callback);			\
	}									\
	int name(ctx_type *ctx)

/* Values for inputs, since the program compares with them; up to MAX_CONSTANTS */
enum { MAX_CONSTANTS = 32 };
extern const __u64 constants[MAX_CONSTANTS];
#define CONSTANTS(...)	const __u64 constants[MAX_CONSTANTS] = { __VA_ARGS__ }

/* Whether a program has a callback is known before it runs */
#define bpf_set_exception_callback(callback)

/* The assertions, as bpf_exceptions.h describes them: LHS's type decides */
#define __throw_unless(lhs, op, rhs, cookie)					\
	do {									\
		const __typeof__(lhs) __lhs = (lhs), __rhs = (rhs);		\
		const __u64 __cookie = (cookie);				\
										\
		if (!(__lhs op __rhs))						\
			bpf_throw(__cookie);					\
	} while (0)
#define bpf_assert_eq_value(lhs, rhs, cookie) __throw_unless(lhs, ==, rhs, cookie)
#define bpf_assert_ne_value(lhs, rhs, cookie) __throw_unless(lhs, !=, rhs, cookie)
#define bpf_assert_lt_value(lhs, rhs, cookie) __throw_unless(lhs, <, rhs, cookie)
#define bpf_assert_gt_value(lhs, rhs, cookie) __throw_unless(lhs, >, rhs, cookie)
#define bpf_assert_le_value(lhs, rhs, cookie) __throw_unless(lhs, <=, rhs, cookie)
#define bpf_assert_ge_value(lhs, rhs, cookie) __throw_unless(lhs, >=, rhs, cookie)
#define bpf_assert_eq(lhs, rhs) bpf_assert_eq_value(lhs, rhs, 0)
#define bpf_assert_ne(lhs, rhs) bpf_assert_ne_value(lhs, rhs, 0)
#define bpf_assert_lt(lhs, rhs) bpf_assert_lt_value(lhs, rhs, 0)
#define bpf_assert_gt(lhs, rhs) bpf_assert_gt_value(lhs, rhs, 0)
#define bpf_assert_le(lhs, rhs) bpf_assert_le_value(lhs, rhs, 0)
#define bpf_assert_ge(lhs, rhs) bpf_assert_ge_value(lhs, rhs, 0)
#define bpf_assert_with(condition, cookie) __throw_unless(!!(condition), ==, 1, cookie)
#define bpf_assert(condition) bpf_assert_with(condition, 0)
#define bpf_assert_range_with(lhs, begin, end, cookie)				\
	do {									\
		const __typeof__(lhs) __in = (lhs), __begin = (begin), __end = (end); \
		const __u64 __thrown = (cookie);				\
										\
		if (__in < __begin || __in > __end)				\
			bpf_throw(__thrown);					\
	} while (0)
#define bpf_assert_range(lhs, begin, end) bpf_assert_range_with(lhs, begin, end, 0)

#endif /* _HOST_H */
