/* SPDX-License-Identifier: GPL-2.0-only */
/* Described programs as instructions */
#ifndef _FUZZ_EMIT_H
#define _FUZZ_EMIT_H

#include "../builder.h"
#include "../things.h"
#include "program.h"

struct maps {
	int state;	/* struct state, one element */
	int array;	/* to look up and to iterate over, three elements */
	int hash;
	struct things things;
	int jump_table;	/* or -1 */
};

struct emitted {
	struct builder b;
	int number[FUNCS_MAX];	/* of each function, for the builder; -1: not reachable */
};

/* The type of programs that aren't attached */
static inline enum bpf_prog_type main_type(const struct testcase *c)
{
	return c->tc ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_XDP;
}

void emit_prog(struct emitted *e, const struct prog *p, const struct maps *maps);
/* For people; in print.c */
void print_insns(FILE *to, const struct builder *b);

#endif /* _FUZZ_EMIT_H */
