/* SPDX-License-Identifier: GPL-2.0-only */
/* Random changes to instructions */
#ifndef _FUZZ_INSNS_H
#define _FUZZ_INSNS_H

#include "../builder.h"
#include "random.h"

bool is_call(const struct bpf_insn *in, int src);
bool refers_to_func(const struct bpf_insn *in);
/* Some instruction of a kind, -1 if there is none */
int choose_insn(struct random *r, const struct bpf_insn *insns, int cnt,
		bool (*wanted)(const struct bpf_insn *));
/* One change */
void mutate_insns(struct random *r, struct bpf_insn *insns, int cnt);
/*
 * Whether loads of functions' addresses are what they were, up to the call that takes them. The
 * kernel, with exceptions or not, warns of a function whose address is loaded and that it has
 * removed since nothing else leads to it: "verifier bug. No program starts at insn".
 */
bool keeps_func_loads(const struct bpf_insn *before, const struct bpf_insn *after, int cnt);
/* Whether it is certain to end soon */
bool fit_to_run(const struct bpf_insn *insns, int cnt);

#endif /* _FUZZ_INSNS_H */
