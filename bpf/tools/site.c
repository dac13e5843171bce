// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a throw came from. The line of the call to bpf_throw() isn't always the right one:
 * assertions in a function that throw the same value share a call, and the compiler gives it line 0
 * or the line of one of them. The compares tell them apart: those that lead to the call are found
 * in the program's instructions, as the kernel runs them.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "prog.h"

/* --- instructions --------------------------------------------------------------------- */

/* The imm of calls of bpf_throw(); 0 if unknown */
static __s32 throw_imm(void)
{
	static unsigned long throw, base;
	unsigned long addr;
	char text[256];
	FILE *f;

	if (throw)
		return throw - base;
	f = fopen("/proc/kallsyms", "r");
	while (f && fgets(text, sizeof(text), f)) {
		addr = strtoul(text, NULL, 16);
		if (strstr(text, " __bpf_call_base\n"))
			base = addr;
		if (strstr(text, " bpf_throw\t[bpf_exceptions]"))
			throw = addr;
	}
	if (f)
		fclose(f);
	return throw - base;
}

static bool is_call(const struct bpf_insn *insn, __u8 kind)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == kind;
}

static bool is_throw(const struct bpf_insn *insn)
{
	return is_call(insn, BPF_PSEUDO_KFUNC_CALL) && insn->imm == throw_imm();
}

static bool is_goto(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_JA);
}

static bool is_branch(const struct bpf_insn *insn)
{
	__u8 class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);

	return (class == BPF_JMP || class == BPF_JMP32) && op != BPF_CALL && op != BPF_EXIT &&
	       op != BPF_JA;
}

/* A function without an exit always throws. In a call, imm has its number. */
static bool returns(const struct prog *prog, __u32 func)
{
	if (func >= prog->info.nr_func_info)
		return true;
	for (__u32 i = prog_func_begin(prog, func); i < prog_func_end(prog, func); i++)
		if (prog->insns[i].code == (BPF_JMP | BPF_EXIT))
			return true;
	return false;
}

static bool goes_on(const struct prog *prog, __u32 i)
{
	const struct bpf_insn *insn = &prog->insns[i];

	return insn->code != (BPF_JMP | BPF_EXIT) && !is_goto(insn) && !is_throw(insn) &&
	       !(is_call(insn, BPF_PSEUDO_CALL) && !returns(prog, insn->imm));
}

/* --- the ways to a throw -------------------------------------------------------------- */

struct search {
	const struct prog *prog;
	struct site *site;
	__u32 begin, end;
	bool *seen;
};

static bool same_line(struct line a, struct line b)
{
	return a.number == b.number && !strcmp(a.path, b.path);
}

static void add_way(struct search *search, __u32 branch)
{
	int record = prog_insn_record(search->prog, branch);
	struct site *site = search->site;
	struct line line;
	int i;

	if (record < 0)
		return;
	line = prog_read_line(search->prog, record);
	for (i = 0; i < site->nr_ways; i++)
		if (same_line(site->ways[i], line))
			return;
	if (i < MAX_WAYS)
		site->ways[site->nr_ways++] = line;
}

/* Go backwards from instruction @at to the branches that lead here */
static void find_ways(struct search *search, __u32 at)
{
	const struct bpf_insn *insns = search->prog->insns;

	for (; !search->seen[at]; at--) {
		search->seen[at] = true;
		for (__u32 i = search->begin; i < search->end; i++) {
			if (i + 1 + insns[i].off != at)
				continue;
			if (is_branch(&insns[i]))
				add_way(search, i);
			else if (is_goto(&insns[i]))
				find_ways(search, i);
		}
		if (at == search->begin || !goes_on(search->prog, at - 1))
			return;
		if (is_branch(&insns[at - 1])) {
			add_way(search, at - 1);
			return;
		}
	}
}

static int by_line(const void *a, const void *b)
{
	const struct line *la = a, *lb = b;

	return strcmp(la->path, lb->path) ?: (int)la->number - (int)lb->number;
}

/* In bpf_exceptions.h, each bpf_assert() and bpf_assert_with() has a throw of its own. */
static bool has_own_throw(struct line line)
{
	return strstr(line.text, "bpf_assert(") || strstr(line.text, "bpf_assert_with(");
}

static bool is_assertion(struct line line)
{
	return strcasestr(line.text, "assert");
}

static bool may_share(struct line line)
{
	return is_assertion(line) && !has_own_throw(line);
}

static bool is_way(const struct site *site, struct line line)
{
	for (int i = 0; i < site->nr_ways; i++)
		if (same_line(site->ways[i], line))
			return true;
	return false;
}

/*
 * @line is that of the call to bpf_throw(), if the compiler gave it one. The compare and the throw
 * of a relation are on one line, so if no compare on that line leads here, the line is wrong. A
 * bpf_throw() in the source has a line of its own, which it loses when it is merged with another.
 */
static void judge(struct site *site, struct line line)
{
	bool own = line.number && !may_share(line) &&
		   (has_own_throw(line) || !is_way(site, line));

	if (own || !site->nr_ways)
		site->line = line;
	else if (site->nr_ways == 1 && (line.number || is_assertion(site->ways[0])))
		site->line = site->ways[0];
	if (site->line.number)
		site->nr_ways = 0;
	qsort(site->ways, site->nr_ways, sizeof(site->ways[0]), by_line);
}

/* The first of the instructions that run one after another up to @at */
static __u32 block_begin(const struct search *search, __u32 at)
{
	const struct bpf_insn *insns = search->prog->insns;

	for (; at > search->begin; at--) {
		if (!goes_on(search->prog, at - 1) || is_branch(&insns[at - 1]))
			return at;
		for (__u32 i = search->begin; i < search->end; i++)
			if ((is_branch(&insns[i]) || is_goto(&insns[i])) &&
			    i + 1 + insns[i].off == at)
				return at;
	}
	return at;
}

/* The target of the call that returns to @off in the image of a function */
static __u32 call_target(const __u8 *image, __u32 off)
{
	__s32 distance;

	memcpy(&distance, image + off - 4, sizeof(distance));
	return off + distance;
}

/*
 * Which of the throws of a line record it is, as a record can have several: count how many of the
 * same calls precede it in the image.
 */
static int which_throw(const struct prog *prog, int record, struct place place)
{
	const __u8 *image = prog->image;
	__u32 off, target;
	int before = 0;

	for (__u32 i = 0; i < place.func; i++)
		image += prog->func_lens[i];
	target = call_target(image, place.off);
	off = prog->line_addrs[record] - prog->func_addrs[place.func] + 5;
	for (; off < place.off; off++)
		before += image[off - 5] == 0xe8 && call_target(image, off) == target;
	return before;
}

/* The instruction; -1 if the lines don't match the instructions */
static int find_throw(const struct prog *prog, int record, struct place place)
{
	int before = which_throw(prog, record, place);

	for (__u32 i = prog->lines[record].insn_off; i < prog_record_end(prog, record, place.func); i++)
		if (is_throw(&prog->insns[i]) && !before--)
			return i;
	return -1;
}

static bool begin_search(struct search *search, const struct prog *prog, struct place place)
{
	if (place.func >= prog->info.nr_jited_func_lens || place.off < 5 ||
	    place.off > prog->func_lens[place.func])
		return false;
	search->prog = prog;
	search->begin = prog_func_begin(prog, place.func);
	search->end = prog_func_end(prog, place.func);
	return true;
}

/**
 * prog_site() - find what threw
 * @prog: the program
 * @place: where bpf_throw() would have returned to
 *
 * A throw without a line of its own is in the record of whatever precedes it. So a record counts
 * only if it begins with the instructions that end in the throw.
 */
struct site prog_site(const struct prog *prog, struct place place)
{
	int insn, record = prog_find_record(prog, place);
	struct search search = {};
	struct site site = {};
	struct line line = {};

	if (record < 0 || !begin_search(&search, prog, place))
		return site;
	insn = find_throw(prog, record, place);
	if (insn < 0)
		return site;
	if (prog->lines[record].insn_off >= block_begin(&search, insn))
		line = prog_read_line(prog, record);
	search.site = &site;
	search.seen = calloc(prog_nr_insns(prog), sizeof(bool));
	find_ways(&search, insn);
	free(search.seen);
	judge(&site, line);
	return site;
}

/**
 * prog_call() - find the line of a call that was unwound
 * @prog: the program
 * @place: where it returns to
 *
 * Here as well, a line counts only if it begins with the instructions that end in the call. Then it
 * doesn't matter which of several calls it is.
 */
struct line prog_call(const struct prog *prog, struct place place)
{
	int record = prog_find_record(prog, place);
	struct search search = {};
	struct line line = {};
	__u32 i;

	if (record < 0 || !begin_search(&search, prog, place))
		return line;
	for (i = prog->lines[record].insn_off; i < prog_record_end(prog, record, place.func); i++) {
		if (!is_call(&prog->insns[i], BPF_PSEUDO_CALL))
			continue;
		if (prog->lines[record].insn_off < block_begin(&search, i))
			return (struct line){};
		line = prog_read_line(prog, record);
	}
	return line;
}
