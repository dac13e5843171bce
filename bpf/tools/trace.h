/* SPDX-License-Identifier: GPL-2.0-only */
/* The trace event bpf_exceptions:bpf_throw, out of tracefs or a file */
#ifndef _TRACE_H
#define _TRACE_H

#include <stdbool.h>
#include <stdio.h>
#include <linux/bpf.h>
#include <linux/types.h>

#define MAX_FRAMES 8

/**
 * struct place - a return address in a program
 * @func: number of the function
 * @off: bytes from its start in the JITed image
 */
struct place {
	__u32 func;
	__u32 off;
};

/* One throw; the fields are those of module/trace.h, places[0] the thrower's */
struct throw_event {
	__u32 id;
	char name[BPF_OBJ_NAME_LEN];
	char tag[2 * BPF_TAG_SIZE + 1];
	__u64 cookie;
	__u32 depth;
	char context[8];
	bool callback;
	long long ret;
	struct place places[MAX_FRAMES];
};

enum trace_line {
	TRACE_OTHER,	/* no event of ours */
	TRACE_THROW,
	TRACE_LOST,	/* events were lost here */
	TRACE_BAD,	/* an event of ours, but not as we know it */
};

enum trace_line trace_parse(const char *line, struct throw_event *event, unsigned long *lost);

/* All return 0, or -1 when they have said on stderr what happened, why, and what to do */
int trace_open(__u32 prog_id, const char *buffer_kb);
int trace_fd(void);
int trace_stop(void);
/* How many events this trace has lost in all */
unsigned long trace_lost(void);
/* Removes what trace_open() made */
void trace_close(void);

#endif /* _TRACE_H */
