// SPDX-License-Identifier: GPL-2.0-only
/* Prints descriptions and instructions for people */
#include "emit.h"

static const char *const kinds[] = { "xdp", "freplace", "fentry", "fexit" };
static const char *const sigs[] = { "ctx", "ctx, x", "x", "index", "map", "cookie" };
static const char *const helpers[] = { "prandom", "ktime", "cpu", "ringbuf", "lookup",
				       "hash lookup", "update" };
static const char *const cookies[] = { "constant", "imm", "x", "canary" };

static const char *const things[] = { "nothing", "record", "socket", "object", "dynptr", "lock" };
static const char *const nulls[] = { "unchecked", "or NULL", "throws if NULL" };

static void print_place(FILE *to, int reg, int slot)
{
	if (reg == ON_STACK)
		fprintf(to, " in free slot %d", slot);
	else
		fprintf(to, " in r%d", reg);
}

static void print_holder(FILE *to, const struct holder *h)
{
	fprintf(to, "%s", things[h->thing]);
	print_place(to, h->reg, h->slot);
	if (h->thing == THING_LOCK && h->keep != h->reg)
		print_place(to, h->keep, h->slot);
	if (h->thing == THING_LOCK)
		fprintf(to, ", index %d", h->index);
	else
		fprintf(to, ", %s", nulls[h->null]);
	if (h->off)
		fprintf(to, ", + %d", h->off);
	if (h->exchanged)
		fprintf(to, ", out of a map");
	if (h->input)
		fprintf(to, ", if in[%d] == %d", h->input, h->limit);
}

/* What the step holds from here on, and what no more */
static void print_holders(FILE *to, const struct func *f, const struct step *s)
{
	for (int i = 0; i < HOLDERS_MAX; i++) {
		if (s->drop & 1 << i)
			fprintf(to, "#\t\tdrop %d\n", i);
		if (!(s->acquire & 1 << i))
			continue;
		fprintf(to, "#\t\tacquire %d: ", i);
		print_holder(to, &f->holders[i]);
		fprintf(to, "\n");
	}
	if (!s->hold.thing)
		return;
	fprintf(to, "#\t\thold for the throw: ");
	print_holder(to, &s->hold);
	fprintf(to, "\n");
}

static void print_step(FILE *to, const struct step *s)
{
	fprintf(to, "#\t\t");
	if (s->cond == IF_X_ABOVE)
		fprintf(to, "if x > %d: ", s->limit);
	if (s->cond == IF_INPUT)
		fprintf(to, "if in[%d] == %d: ", s->input, s->limit);
	switch (s->kind) {
	case STEP_LOG:
		fprintf(to, "log x + %llu\n", s->value);
		break;
	case STEP_CALL:
		fprintf(to, "x += func%d(x + %d)%s\n", s->which, s->add,
			s->hold_call ? ", holding a reference" : "");
		break;
	case STEP_HELPER:
		fprintf(to, "helper %s\n", helpers[s->which]);
		break;
	case STEP_LOOP:
		fprintf(to, "x += bpf_loop(%d, func%d)%s\n", s->add, s->which,
			s->called ? ", not inlined" : "");
		break;
	case STEP_EACH:
		fprintf(to, "x += bpf_for_each_map_elem(func%d)\n", s->which);
		break;
	case STEP_THROW:
		fprintf(to, "throw %s %#llx%s\n", cookies[s->which], s->value,
			s->shared ? ", shared" : "");
		break;
	case STEP_TAIL_CALL:
		if (s->from_input)
			fprintf(to, "tail call in[%d]\n", s->input);
		else
			fprintf(to, "tail call %d\n", s->which);
		break;
	case STEP_NEST:
		fprintf(to, "nested program\n");
		break;
	case STEP_RETURN:
		fprintf(to, "return\n");
		break;
	case STEP_SET_CALLBACK:
		fprintf(to, "set the callback\n");
		break;
	case STEP_THROW_LOSING:
		fprintf(to, "throw with a reference that is nowhere any more\n");
		break;
	default:
		fprintf(to, "nothing\n");
	}
}

static void print_home(FILE *to, const char *what, int home)
{
	if (home >= HOME_REG)
		fprintf(to, ", %s in r%d", what, home);
	else if (home == HOME_STACK)
		fprintf(to, ", %s on the stack", what);
}

static void print_func(FILE *to, const struct prog *p, int func)
{
	const struct func *f = &p->funcs[func];

	fprintf(to, "#\t%s%s func%d(%s), level %d, stack %d", func == p->callback && func ?
		"exception callback, " : "", f->global ? "global" : "static", func, sigs[f->sig],
		f->level, f->stack);
	print_home(to, "x", f->home_x);
	print_home(to, "ctx", f->home_ctx);
	for (int i = 0; i < 4; i++)
		if (f->canaries & 1 << i)
			fprintf(to, ", canary in r%d", 6 + i);
	fprintf(to, "%s\n", f->bare ? ", bare" : "");
	for (int i = 0; i < f->nr_steps; i++) {
		print_holders(to, f, &f->steps[i]);
		print_step(to, &f->steps[i]);
	}
	if (f->nr_steps && f->no_exit && !func_returns(p, func))
		fprintf(to, "#\t\t(no exit behind what never returns)\n");
	else
		fprintf(to, "#\t\treturn x + %d\n", f->ret_add);
}

void print_testcase(FILE *to, const struct testcase *c)
{
	fprintf(to, "#   %s, %s, %s\n", c->tc ? "tc" : "xdp", c->blinded ? "blinded" : "not blinded",
		c->traced ? "traced" : "not traced");
	for (int i = 0; i < RUNS; i++) {
		const struct run *run = &c->runs[i];

		if (run->skip)
			continue;
		fprintf(to, "#   run %d: context %d, in:", i, run->context);
		for (int j = 0; j < INPUTS; j++)
			fprintf(to, " %llu", run->in[j]);
		fprintf(to, "\n");
	}
	for (int i = 0; i < PROGS; i++) {
		const struct prog *p = &c->progs[i];

		if (!p->present)
			continue;
		fprintf(to, "#   program %d, %s", i, kinds[p->kind]);
		if (p->kind != PROG_XDP)
			fprintf(to, " on func%d of program %d", p->on_func, p->on_prog);
		if (p->callback)
			fprintf(to, ", callback set %s", p->callback_at == CB_AT_START ? "first" :
				p->callback_at == CB_AT_END ? "last" : "where it never gets");
		fprintf(to, "\n");
		for (int j = 0; j < p->nr_funcs; j++)
			if (func_reachable(p, j))
				print_func(to, p, j);
	}
}

static const char *const alu[] = { "+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=",
				   "neg", "%=", "^=", "=", "s>>=", "end", "?", "?" };
static const char *const jmp[] = { "goto", "==", ">", ">=", "&", "!=", "s>", "s>=",
				   "call", "exit", "<", "<=", "s<", "s<=", "?", "?" };

static void print_jump(FILE *to, struct bpf_insn in)
{
	const char *op = jmp[BPF_OP(in.code) >> 4];

	if (BPF_OP(in.code) == BPF_CALL)
		fprintf(to, "call %s%d\n", in.src_reg == BPF_PSEUDO_CALL ? "func" :
			in.src_reg ? "kfunc " : "helper ", in.imm);
	else if (BPF_OP(in.code) == BPF_EXIT)
		fprintf(to, "exit\n");
	else if (BPF_OP(in.code) == BPF_JA)
		fprintf(to, "goto %+d\n", in.off);
	else if (BPF_SRC(in.code) == BPF_X)
		fprintf(to, "if r%d %s r%d goto %+d\n", in.dst_reg, op, in.src_reg, in.off);
	else
		fprintf(to, "if r%d %s %d goto %+d\n", in.dst_reg, op, in.imm, in.off);
}

/* Those that emit.c makes; others are numbers */
static void print_insn(FILE *to, struct bpf_insn in)
{
	const char *op = alu[BPF_OP(in.code) >> 4];

	fprintf(to, "%02x %x %x %04hx %08x  ", in.code, in.dst_reg, in.src_reg, in.off, in.imm);
	switch (BPF_CLASS(in.code)) {
	case BPF_ALU64:
		if (BPF_SRC(in.code) == BPF_X)
			fprintf(to, "r%d %s r%d\n", in.dst_reg, op, in.src_reg);
		else
			fprintf(to, "r%d %s %d\n", in.dst_reg, op, in.imm);
		break;
	case BPF_LDX:
		fprintf(to, "r%d = *(r%d %+d)\n", in.dst_reg, in.src_reg, in.off);
		break;
	case BPF_STX:
		fprintf(to, "*(r%d %+d) = r%d\n", in.dst_reg, in.off, in.src_reg);
		break;
	case BPF_ST:
		fprintf(to, "*(r%d %+d) = %d\n", in.dst_reg, in.off, in.imm);
		break;
	case BPF_LD:
		fprintf(to, "r%d = %s%d ll\n", in.dst_reg, in.src_reg == BPF_PSEUDO_FUNC ?
			"func" : in.src_reg ? "map " : "", in.imm);
		break;
	case BPF_JMP:
		print_jump(to, in);
		break;
	default:
		fprintf(to, "\n");
	}
}

void print_insns(FILE *to, const struct builder *b)
{
	for (int i = 0; i < b->cnt; i++) {
		for (int j = 0; j < b->nr_funcs; j++)
			if (b->funcs[j].start == i)
				fprintf(to, "#\tfunc%d (%s):\n", j,
					b->funcs[j].global ? "global" : "static");
		fprintf(to, "#\t%3d: ", i);
		print_insn(to, b->insns[i]);
	}
}
