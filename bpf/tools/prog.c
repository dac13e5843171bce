// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a throw came from. The line of the call to bpf_throw() isn't always the right one:
 * assertions in a function that throw the same value share a call, and the compiler gives it line 0
 * or the line of one of them. The compares tell them apart: those that lead to the call are found
 * in the program's instructions, as the kernel runs them.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "prog.h"

static struct prog *progs;

/* --- reading -------------------------------------------------------------------------- */

static void to_hex(char *hex, const __u8 *bytes, int cnt)
{
	for (int i = 0; i < cnt; i++)
		sprintf(hex + 2 * i, "%02x", bytes[i]);
}

/* Allocate room for everything that bpf_obj_get_info_by_fd() reported */
static bool make_room(struct prog *prog, struct bpf_prog_info *info)
{
	const struct bpf_prog_info had = *info;

	prog->funcs = calloc(had.nr_func_info + 1, sizeof(*prog->funcs));
	prog->lines = calloc(had.nr_line_info + 1, sizeof(*prog->lines));
	prog->insns = calloc(1, had.xlated_prog_len + sizeof(*prog->insns));
	prog->func_addrs = calloc(had.nr_jited_ksyms + 1, sizeof(__u64));
	prog->func_lens = calloc(had.nr_jited_func_lens + 1, sizeof(__u32));
	prog->line_addrs = calloc(had.nr_jited_line_info + 1, sizeof(__u64));
	prog->image = calloc(1, had.jited_prog_len + 1);
	*info = (struct bpf_prog_info){
		.nr_func_info = had.nr_func_info,
		.func_info_rec_size = sizeof(*prog->funcs),
		.func_info = (unsigned long)prog->funcs,
		.nr_line_info = had.nr_line_info,
		.line_info_rec_size = sizeof(*prog->lines),
		.line_info = (unsigned long)prog->lines,
		.nr_jited_line_info = had.nr_jited_line_info,
		.jited_line_info_rec_size = sizeof(__u64),
		.jited_line_info = (unsigned long)prog->line_addrs,
		.nr_jited_ksyms = had.nr_jited_ksyms,
		.jited_ksyms = (unsigned long)prog->func_addrs,
		.nr_jited_func_lens = had.nr_jited_func_lens,
		.jited_func_lens = (unsigned long)prog->func_lens,
		.jited_prog_len = had.jited_prog_len,
		.jited_prog_insns = (unsigned long)prog->image,
		.xlated_prog_len = had.xlated_prog_len,
		.xlated_prog_insns = (unsigned long)prog->insns,
	};
	return prog->funcs && prog->lines && prog->insns && prog->func_addrs && prog->func_lens &&
	       prog->line_addrs && prog->image;
}

/*
 * If constants are blinded, bpf_adj_linfo() of 6.1 takes offsets in a function for offsets in the
 * program, so the lines after it are wrong.
 */
static bool is_blinded(const struct prog *prog)
{
	FILE *f = fopen("/proc/sys/net/core/bpf_jit_harden", "r");
	int level = 0;

	if (f && fscanf(f, "%d", &level) != 1)
		level = 0;
	if (f)
		fclose(f);
	return level == 2 && prog->info.nr_jited_ksyms > 1;
}

/* Every function begins with a line of its own */
static bool lines_fit(const struct prog *prog)
{
	__u32 i, j;

	for (i = 0, j = 0; i < prog->info.nr_func_info; i++) {
		while (j < prog->info.nr_line_info &&
		       prog->lines[j].insn_off < prog->funcs[i].insn_off)
			j++;
		if (j == prog->info.nr_line_info ||
		    prog->lines[j].insn_off != prog->funcs[i].insn_off)
			return false;
	}
	return true;
}

static const char *why_lineless(const struct prog *prog)
{
	const struct bpf_prog_info *info = &prog->info;

	if (!prog->btf || !info->nr_line_info)
		return "it was loaded without them: compile it with -g";
	if (!info->jited_line_info || !info->jited_ksyms || !info->xlated_prog_insns ||
	    !info->jited_prog_insns)
		return "the kernel hides addresses: set kernel.kptr_restrict to 0 or 1";
	if (is_blinded(prog) || !lines_fit(prog) || info->nr_jited_line_info != info->nr_line_info)
		return "the kernel has them wrong where constants are blinded: set net.core.bpf_jit_harden to 0 or 1, and load it again";
	return NULL;
}

/* If a program has no BTF, or its addresses are hidden, use what there is */
struct prog *prog_read(int fd, __u32 id)
{
	struct prog *prog = calloc(1, sizeof(*prog));
	struct bpf_prog_info *info = &prog->info;
	__u32 len = sizeof(*info);

	prog->id = id;
	if (bpf_obj_get_info_by_fd(fd, info, &len) || !make_room(prog, info) ||
	    bpf_obj_get_info_by_fd(fd, info, &len)) {
		prog->gone = "the kernel doesn't describe the program";
		return prog;
	}
	snprintf(prog->name, sizeof(prog->name), "%s", info->name);
	to_hex(prog->tag, info->tag, BPF_TAG_SIZE);
	if (!info->func_info)
		info->nr_func_info = 0;
	if (info->btf_id)
		prog->btf = btf__load_from_kernel_by_id(info->btf_id);
	if (!prog->btf)
		info->nr_func_info = 0;
	prog->lineless = why_lineless(prog);
	if (prog->lineless)
		info->nr_line_info = 0;
	return prog;
}

static struct prog *prog_gone(const struct throw_event *event, int err)
{
	struct prog *prog = calloc(1, sizeof(*prog));

	prog->id = event->id;
	strcpy(prog->name, event->name);
	strcpy(prog->tag, event->tag);
	prog->gone = err == EPERM || err == EACCES ? "only root may look at the program" :
						     "the program is gone";
	return prog;
}

/* Ids are reused, so the tag has to match as well */
struct prog *prog_find(const struct throw_event *event)
{
	struct prog *prog;
	int fd, err = 0;

	for (prog = progs; prog; prog = prog->next)
		if (prog->id == event->id && !strcmp(prog->tag, event->tag) &&
		    !strcmp(prog->name, event->name))
			return prog;
	fd = bpf_prog_get_fd_by_id(event->id);
	if (fd >= 0) {
		prog = prog_read(fd, event->id);
		close(fd);
	} else {
		err = errno;
	}
	if (fd < 0 || strcmp(prog->tag, event->tag))
		prog = prog_gone(event, err);
	prog->next = progs;
	progs = prog;
	return prog;
}

long long prog_throws(int fd)
{
	char path[64], text[256];
	long long throws = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(text, sizeof(text), f))
		sscanf(text, "throws: %lld", &throws);
	if (f)
		fclose(f);
	return throws;
}

/* --- functions and lines -------------------------------------------------------------- */

static const char *func_name(const struct prog *prog, __u32 func)
{
	const struct btf_type *t;

	if (func >= prog->info.nr_func_info)
		return NULL;
	t = btf__type_by_id(prog->btf, prog->funcs[func].type_id);
	return t ? btf__name_by_offset(prog->btf, t->name_off) : NULL;
}

const char *prog_func(const struct prog *prog, struct place place)
{
	return func_name(prog, place.func);
}

const char *prog_name(const struct prog *prog)
{
	const char *name = func_name(prog, 0);

	return name && !strncmp(name, prog->name, strlen(prog->name)) ? name : prog->name;
}

static const char *string(const struct prog *prog, __u32 off)
{
	const char *text = btf__name_by_offset(prog->btf, off) ?: "";

	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static struct line read_line(const struct prog *prog, __u32 record)
{
	const struct bpf_line_info *info = &prog->lines[record];

	return (struct line){
		.path = string(prog, info->file_name_off),
		.text = string(prog, info->line_off),
		.number = BPF_LINE_INFO_LINE_NUM(info->line_col),
	};
}

static __u32 nr_insns(const struct prog *prog)
{
	return prog->info.xlated_prog_len / sizeof(struct bpf_insn);
}

static __u32 func_begin(const struct prog *prog, __u32 func)
{
	return func < prog->info.nr_func_info ? prog->funcs[func].insn_off : 0;
}

static __u32 func_end(const struct prog *prog, __u32 func)
{
	return func + 1 < prog->info.nr_func_info ? prog->funcs[func + 1].insn_off :
						    nr_insns(prog);
}

static __u32 record_end(const struct prog *prog, __u32 record, __u32 func)
{
	__u32 end = func_end(prog, func);

	if (record + 1 < prog->info.nr_line_info && prog->lines[record + 1].insn_off < end)
		end = prog->lines[record + 1].insn_off;
	return end;
}

/* The line record of the call that returns to @place; -1: none */
static int find_record(const struct prog *prog, struct place place)
{
	__u64 begin, addr;
	int found = -1;

	if (place.func >= prog->info.nr_jited_ksyms)
		return -1;
	begin = prog->func_addrs[place.func];
	addr = begin + place.off - 1;
	for (__u32 i = 0; i < prog->info.nr_line_info; i++)
		if (prog->line_addrs[i] >= begin && prog->line_addrs[i] <= addr)
			found = i;
	return found;
}

static int insn_record(const struct prog *prog, __u32 insn)
{
	int found = -1;

	for (__u32 i = 0; i < prog->info.nr_line_info && prog->lines[i].insn_off <= insn; i++)
		found = i;
	return found;
}

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
	for (__u32 i = func_begin(prog, func); i < func_end(prog, func); i++)
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
	int record = insn_record(search->prog, branch);
	struct site *site = search->site;
	struct line line;
	int i;

	if (record < 0)
		return;
	line = read_line(search->prog, record);
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

	for (__u32 i = prog->lines[record].insn_off; i < record_end(prog, record, place.func); i++)
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
	search->begin = func_begin(prog, place.func);
	search->end = func_end(prog, place.func);
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
	int insn, record = find_record(prog, place);
	struct search search = {};
	struct site site = {};
	struct line line = {};

	if (record < 0 || !begin_search(&search, prog, place))
		return site;
	insn = find_throw(prog, record, place);
	if (insn < 0)
		return site;
	if (prog->lines[record].insn_off >= block_begin(&search, insn))
		line = read_line(prog, record);
	search.site = &site;
	search.seen = calloc(nr_insns(prog), sizeof(bool));
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
	int record = find_record(prog, place);
	struct search search = {};
	struct line line = {};
	__u32 i;

	if (record < 0 || !begin_search(&search, prog, place))
		return line;
	for (i = prog->lines[record].insn_off; i < record_end(prog, record, place.func); i++) {
		if (!is_call(&prog->insns[i], BPF_PSEUDO_CALL))
			continue;
		if (prog->lines[record].insn_off < block_begin(&search, i))
			return (struct line){};
		line = read_line(prog, record);
	}
	return line;
}
