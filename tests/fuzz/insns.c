// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>
#include "insns.h"

/* Another value like the current one. Not large: a loop must not take forever. */
static int change_number(struct random *r, int number)
{
	switch (random_below(r, 5)) {
	case 0:
		return number ^ 1 << random_below(r, 12);
	case 1:
		return number + 1;
	case 2:
		return number - 1;
	case 3:
		return -number;
	}
	return (int)random_below(r, 64) - 16;
}

static void change_field(struct random *r, struct bpf_insn *in)
{
	switch (random_below(r, 6)) {
	case 0:
		if (random_percent(r, 50))
			in->code ^= 1 << random_below(r, 8);
		else
			in->code = random_below(r, 256);
		break;
	case 1:
		in->dst_reg = random_below(r, 11);
		break;
	case 2:
		in->src_reg = random_below(r, 11);
		break;
	case 3:
		in->off = change_number(r, in->off);
		break;
	default:
		in->imm = change_number(r, in->imm);
	}
}

bool is_call(const struct bpf_insn *in, int src)
{
	return in->code == (BPF_JMP | BPF_CALL) && in->src_reg == src;
}

int choose_insn(struct random *r, const struct bpf_insn *insns, int cnt,
		bool (*wanted)(const struct bpf_insn *))
{
	int start = random_below(r, cnt);

	for (int i = 0; i < cnt; i++)
		if (wanted(&insns[(start + i) % cnt]))
			return (start + i) % cnt;
	return -1;
}

bool refers_to_func(const struct bpf_insn *in)
{
	return is_call(in, BPF_PSEUDO_CALL) ||
	       (in->code == (BPF_LD | BPF_IMM | BPF_DW) && in->src_reg == BPF_PSEUDO_FUNC);
}

static bool calls_kfunc(const struct bpf_insn *in)
{
	return is_call(in, BPF_PSEUDO_KFUNC_CALL);
}

void mutate_insns(struct random *r, struct bpf_insn *insns, int cnt)
{
	int at = random_below(r, cnt), other = random_below(r, cnt);
	struct bpf_insn in = insns[at];

	switch (random_below(r, 8)) {
	case 0:
		insns[at] = insns[other];
		insns[other] = in;
		break;
	case 1:
		insns[at] = insns[other];
		break;
	case 2:
		insns[at] = JUMP(0);
		break;
	case 3: /* a throw elsewhere */
		other = choose_insn(r, insns, cnt, calls_kfunc);
		if (other >= 0)
			insns[at] = insns[other];
		break;
	case 4: /* the call of another kfunc */
		at = choose_insn(r, insns, cnt, calls_kfunc);
		other = choose_insn(r, insns, cnt, calls_kfunc);
		if (at >= 0)
			insns[at].imm = insns[other].imm;
		break;
	default:
		change_field(r, &insns[at]);
	}
}

/* Nested loops whose counts were changed might take forever */
bool fit_to_run(const struct bpf_insn *insns, int cnt)
{
	int loops = 0;

	for (int i = 0; i < cnt; i++)
		loops += is_call(&insns[i], 0) && insns[i].imm == BPF_FUNC_loop;
	return loops < 2;
}

static bool loads_func(const struct bpf_insn *in)
{
	return in->code == (BPF_LD | BPF_IMM | BPF_DW) && in->src_reg == BPF_PSEUDO_FUNC;
}

bool keeps_func_loads(const struct bpf_insn *before, const struct bpf_insn *after, int cnt)
{
	for (int i = 0; i < cnt; i++) {
		struct bpf_insn load = after[i];
		int j = i;

		if (!loads_func(&load))
			continue;
		load.imm = before[i].imm;
		if (memcmp(&load, &before[i], sizeof(load)))
			return false;
		while (++j < cnt && before[j].code != (BPF_JMP | BPF_CALL))
			if (memcmp(&after[j], &before[j], sizeof(load)))
				return false;
		if (j < cnt && memcmp(&after[j], &before[j], sizeof(load)))
			return false;
	}
	return true;
}
