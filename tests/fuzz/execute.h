/* SPDX-License-Identifier: GPL-2.0-only */
/* Load, attach and run described programs, and compare with the right answer */
#ifndef _FUZZ_EXECUTE_H
#define _FUZZ_EXECUTE_H

#include "emit.h"

enum verdict { RIGHT, WRONG, REFUSED };

struct stats {
	int programs, insns, runs, threw, depth[LEVELS];
	int callbacks, tail_calls, through_fexit, through_helpers, watched, extensions, nested, attached;
	int blinded, traced, too_large, in_context[4], things[THINGS];
};

extern struct maps maps;
extern int device;		/* /dev/bpf_exceptions_test */
extern char why[8192];		/* it isn't RIGHT */

void execute_init(void);
struct state *shared_state(void);
enum verdict execute(const struct testcase *c, struct stats *stats);
void print_stats(const struct stats *stats);
/* Remove from @c what isn't needed for the same verdict */
void minimise(struct testcase *c, enum verdict verdict);
void print_case_insns(FILE *to, const struct testcase *c);

#endif /* _FUZZ_EXECUTE_H */
