// SPDX-License-Identifier: GPL-2.0-only
/*
 * One program for each kind of place that compilers put a throw, or make of one. Each is compiled by
 * all compilers, with all options; see run.
 */
#include "ordinary.h"

CONSTANTS(1, 2, 3, 4, 5, 7, 9, 16, 185, 200, 1500);

/* The same throw in two branches and behind them: one block, which none of them need fall into */
TC(shared_across_branches, NO_CALLBACK)
{
	if (ctx->priority & 4) {
		if (ctx->priority == 7)
			bpf_throw(2);
		count[2] += ctx->priority + 47;
	} else {
		if (ctx->len == 185)
			bpf_throw(1);
		count[3] += ctx->mark + 94;
	}
	if (ctx->mark == 9)
		bpf_throw(1);
	return 0;
}
