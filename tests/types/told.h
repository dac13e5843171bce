/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests/types passes to its BPF programs, and what they pass back; for both sides */
#ifndef _TOLD_H
#define _TOLD_H

#include <linux/types.h>

/* In .rodata.types: known to the verifier */
struct told {
	__s32 own;	/* what a program returns whose assertion holds */
	__s32 verdict;	/* what its exception callback returns */
};

/* In .bss.types */
struct tally {
	__u64 throws;	/* set by the test: assertions fail */
	__u64 reached;	/* how often a program came to its assertion */
	__u64 passed;	/* ... and past it */
	__u32 hash;	/* flow hash of the last packet, see note_hash() */
};

#endif /* _TOLD_H */
