/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests/callbacks tells its BPF programs, and what they tell it; for both sides */
#ifndef _TOLD_H
#define _TOLD_H

#include <linux/types.h>

#define NEVER (~0ull)
#define ROUNDS 5	/* elements of each map, samples, iterations */
#define PASSED 7	/* what a program returns that doesn't throw */
#define COOKIE(i) (100 + (i))	/* thrown in round i */
#define CAUGHT(cookie) ((cookie) + 1000) /* what the exception callback makes of it */

/* In .bss.state */
struct state {
	__u64 throw_at;	/* set by the test: the round in which a callback throws, or NEVER */
	__u64 rounds;	/* how often callbacks have run */
	__u64 behind;	/* how often control came behind a helper */
	__u64 ret;	/* what that one returned */
	__u64 exits;	/* how often fexit programs have run */
	__u64 addr;	/* for bpf_find_vma() */
	__u64 pid;	/* whose */
	struct kept {
		__s64 preempt_count, rcu_nesting, migration_disabled;
	} before, after; /* the main program */
};

#endif /* _TOLD_H */
