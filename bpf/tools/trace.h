/* SPDX-License-Identifier: GPL-2.0-only */
/* The trace events bpf_exceptions:*, from tracefs or a file */
#ifndef _TRACE_H
#define _TRACE_H

#include <stdbool.h>
#include <stdio.h>
#include <linux/bpf.h>
#include <linux/types.h>

#define MAX_FRAMES 8

/* What a program can hold, in the order of the event's fields */
enum held_kind { HELD_LOCK, HELD_SOCKET, HELD_RECORD, HELD_DYNPTR, HELD_OBJECT, HELD_KINDS };

/**
 * struct place - a return address in a program
 * @func: number of the function
 * @off: bytes from its start in the JITed image
 */
struct place {
	__u32 func;
	__u32 off;
};

/*
 * One throw. The fields are those of module/trace.h; places[0] is the thrower's. If there is a
 * callback, ret is known once the event with the same key has been seen, which has only id, name,
 * tag, cookie, ret and key.
 */
struct throw_event {
	__u32 id;
	char name[BPF_OBJ_NAME_LEN];
	char tag[2 * BPF_TAG_SIZE + 1];
	__u64 cookie;
	__u32 depth;
	char context[8];
	bool callback;
	bool returned;
	long long ret;
	__u64 key;
	__u8 held[HELD_KINDS];
	struct place places[MAX_FRAMES];
};

enum trace_line {
	TRACE_OTHER,	/* not one of our events */
	TRACE_THROW,
	TRACE_CALLBACK,	/* an exception callback has returned */
	TRACE_LOST,	/* events were lost here */
	TRACE_BAD,	/* one of our events, in an unknown format */
};

enum trace_line trace_parse(const char *line, struct throw_event *event, unsigned long *lost);

/*
 * Joins the two events of a throw that has a callback. Pass it each event, with its kind in @what.
 * If it returns true, @event is a throw, as complete as it will ever be.
 */
bool trace_join(enum trace_line what, struct throw_event *event);
/* The oldest throw whose callback hasn't been seen to return; false if there is none */
bool trace_unjoined(struct throw_event *event);
/* How many of them there are */
unsigned int trace_pending(void);

/* All return 0, or -1 after saying on stderr what happened, why, and what to do */
int trace_open(__u32 prog_id, const char *buffer_kb);
int trace_fd(void);
/* Stop tracing throws, then returns of callbacks; what was traced can still be read */
int trace_stop(void);
int trace_stop_callbacks(void);
/* How many events this trace has lost in total */
unsigned long trace_lost(void);
/* Removes what trace_open() made */
void trace_close(void);

#endif /* _TRACE_H */
