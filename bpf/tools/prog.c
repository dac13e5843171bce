// SPDX-License-Identifier: GPL-2.0-only
/* Reads a loaded program: its functions, lines and instructions, as the kernel knows them */
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
		return "the kernel gets them wrong when constants are blinded: set net.core.bpf_jit_harden to 0 or 1, and load it again";
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

struct line prog_read_line(const struct prog *prog, __u32 record)
{
	const struct bpf_line_info *info = &prog->lines[record];

	return (struct line){
		.path = string(prog, info->file_name_off),
		.text = string(prog, info->line_off),
		.number = BPF_LINE_INFO_LINE_NUM(info->line_col),
	};
}

__u32 prog_nr_insns(const struct prog *prog)
{
	return prog->info.xlated_prog_len / sizeof(struct bpf_insn);
}

__u32 prog_func_begin(const struct prog *prog, __u32 func)
{
	return func < prog->info.nr_func_info ? prog->funcs[func].insn_off : 0;
}

__u32 prog_func_end(const struct prog *prog, __u32 func)
{
	return func + 1 < prog->info.nr_func_info ? prog->funcs[func + 1].insn_off :
						    prog_nr_insns(prog);
}

__u32 prog_record_end(const struct prog *prog, __u32 record, __u32 func)
{
	__u32 end = prog_func_end(prog, func);

	if (record + 1 < prog->info.nr_line_info && prog->lines[record + 1].insn_off < end)
		end = prog->lines[record + 1].insn_off;
	return end;
}

/* The line record of the call that returns to @place; -1: none */
int prog_find_record(const struct prog *prog, struct place place)
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

int prog_insn_record(const struct prog *prog, __u32 insn)
{
	int found = -1;

	for (__u32 i = 0; i < prog->info.nr_line_info && prog->lines[i].insn_off <= insn; i++)
		found = i;
	return found;
}
