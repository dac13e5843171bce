/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The dialect that the programs of this suite are written in. One source is compiled three times:
 * for BPF; for BPF with -DRETURN, where each throw is a return of its cookie; and with -DHOST for
 * the host, where host.c runs it and records what it does.
 */
#ifndef _ORDINARY_H
#define _ORDINARY_H

#include <linux/bpf.h>

/* A program of type tc or xdp. CALLBACK is the one that it sets, or NO_CALLBACK. */
#define TC(name, callback)	PROGRAM(TC, "tc", struct __sk_buff, name, callback)
#define XDP(name, callback)	PROGRAM(XDP, "xdp", struct xdp_md, name, callback)

/* Functions, by what compilers may do with them */
#define STATIC	static __attribute__((noinline, unused))
#define GLOBAL	__attribute__((noinline))
#define WEAK	__attribute__((noinline, weak))	/* it can't look at the body */
#define INLINE	static inline __attribute__((always_inline, unused))
#define MAYBE	static __attribute__((unused))	/* inlined if it likes */

/* Compilers don't pass an argument that a global function doesn't use; 6.1 refuses the call */
#define USED(argument)	__asm__ volatile("" : : "r"(argument))

/* Read the context once. Else a compiler may load from one of two offsets, which 6.1 refuses */
#define READ(field)	(*(const volatile __typeof__(field) *)&(field))

/*
 * STATE(X): the variables of a program, with type and number of elements. They are also input: each
 * run begins with different values. VALUES is the number of elements of the array map "values",
 * which is input as well. What a run leaves in them is compared.
 */
#define STATE(X)		\
	X(__u64, count, 8)	\
	X(__s32, sum, 4)	\
	X(__u16, half, 4)	\
	X(__s8, small, 4)	\
	X(__u8, seen, 8)
#define VALUES 4

struct state {
#define FIELD(type, name, elements) type name[elements];
	STATE(FIELD)
	__u64 values[VALUES];
};

enum { PACKET = 128, LEAST_PACKET = 14 };

/* A run: the input, and what the host did with it */
struct run {
	__u32 size, mark, priority;
	__s32 result;
	__u8 packet[PACKET];
	struct state before, after;
};

/* What the host writes for each program, before its runs */
struct record {
	char name[48];
	__u32 runs, throws;
};

#ifdef __bpf__

#include <bpf/bpf_helpers.h>
#include "../../bpf/bpf_exceptions.h"

#define PROGRAM(type, section, ctx_type, name, callback)	\
	SEC(section) int name(ctx_type *ctx)
#define CONSTANTS(...)

#define VARIABLE(type, name, elements) type name[elements];
STATE(VARIABLE)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, VALUES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} values SEC(".maps");

char _license[] SEC("license") = "GPL";

#ifdef RETURN
/* Only from here on, so that the macros of bpf_exceptions.h return as well */
#define bpf_throw(cookie)	return (cookie)
#undef bpf_assert_with
#define bpf_assert_with(condition, cookie)	\
	do {					\
		if (!(condition))		\
			bpf_throw(cookie);	\
	} while (0)
#define ENDS(call)		return call
#define NORETURN
#define bpf_set_exception_callback(callback)
#endif

#elif defined(HOST)

#include "host.h"

#endif

#ifndef RETURN
/* A call of a function that always throws: nothing needs to follow */
#define ENDS(call)	call
/* ... and its author says so */
#define NORETURN	__attribute__((noreturn))
#endif

#endif /* _ORDINARY_H */
