/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel knows about a loaded program: its functions, lines and instructions */
#ifndef _PROG_H
#define _PROG_H

#include <stdbool.h>
#include <bpf/btf.h>
#include <linux/bpf.h>
#include "trace.h"

#define MAX_WAYS 32

/* A line of source; its number is 0 if unknown */
struct line {
	const char *path;
	const char *text;
	__u32 number;
};

/**
 * struct prog - a program
 * @gone: NULL, or why nothing is known but the event's fields
 * @lineless: NULL, or why its lines are unknown
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
 * @line: the line, if it is certain
 * @ways: else the lines of the branches that lead to this throw
 * @nr_ways: how many
 */
struct site {
	struct line line;
	struct line ways[MAX_WAYS];
	int nr_ways;
};

/* Never fails: what can't be found is gone. Kept until the end, except for the fd. */
struct prog *prog_find(const struct throw_event *event);
struct prog *prog_read(int fd, __u32 id);
/* The program's full name, if the kernel has it */
const char *prog_name(const struct prog *prog);
/* NULL if unknown */
const char *prog_func(const struct prog *prog, struct place place);
/* How often it has thrown; -1 if it can't throw */
long long prog_throws(int fd);

/* Instructions and line records, by index; a function's lines are those of its instructions */
__u32 prog_nr_insns(const struct prog *prog);
__u32 prog_func_begin(const struct prog *prog, __u32 func);
__u32 prog_func_end(const struct prog *prog, __u32 func);
int prog_insn_record(const struct prog *prog, __u32 insn);
int prog_find_record(const struct prog *prog, struct place place);
__u32 prog_record_end(const struct prog *prog, __u32 record, __u32 func);
struct line prog_read_line(const struct prog *prog, __u32 record);

/* site.c: the line of a call that was unwound, and what threw */
struct line prog_call(const struct prog *prog, struct place place);
struct site prog_site(const struct prog *prog, struct place place);

#endif /* _PROG_H */
