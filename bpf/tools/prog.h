/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel knows of a loaded program: its functions, lines and instructions */
#ifndef _PROG_H
#define _PROG_H

#include <stdbool.h>
#include <bpf/btf.h>
#include <linux/bpf.h>
#include "trace.h"

#define MAX_WAYS 32

/* A line of source; number 0 where it isn't known */
struct line {
	const char *path;
	const char *text;
	__u32 number;
};

/**
 * struct prog - a program
 * @gone: NULL, or why there is nothing but the event's fields
 * @lineless: NULL, or why its lines can't be told
 */
struct prog {
	struct prog *next;
	__u32 id;
	char name[BPF_OBJ_NAME_LEN];
	char tag[2 * BPF_TAG_SIZE + 1];
	const char *gone;
	const char *lineless;
	struct bpf_prog_info info;
	struct btf *btf;
	struct bpf_func_info *funcs;
	struct bpf_line_info *lines;
	struct bpf_insn *insns;
	__u64 *func_addrs;
	__u32 *func_lens;
	__u8 *image;
	__u64 *line_addrs;
};

/**
 * struct site - what threw
 * @line: the line, where there is one that surely did
 * @ways: else the lines of the branches that lead to this throw
 * @nr_ways: how many
 */
struct site {
	struct line line;
	struct line ways[MAX_WAYS];
	int nr_ways;
};

/* Never fails: what can't be found is gone. Kept until the end, but for the fd. */
struct prog *prog_find(const struct throw_event *event);
struct prog *prog_read(int fd, __u32 id);
/* The program's name in full, where the kernel has it */
const char *prog_name(const struct prog *prog);
/* NULL where it isn't known */
const char *prog_func(const struct prog *prog, struct place place);
struct line prog_call(const struct prog *prog, struct place place);
struct site prog_site(const struct prog *prog, struct place place);
/* How often it threw; -1 for one that can't */
long long prog_throws(int fd);

#endif /* _PROG_H */
