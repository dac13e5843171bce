/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CALLBACKS_H
#define _CALLBACKS_H

#include <stdbool.h>
#include <linux/types.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "../fail.h"
#include "../kmod/test.h"
#include "deep.h"
#include "told.h"

#define MOST_PARTS 4
#define LOG_SIZE (1 << 20)

/* A program of the object, and others that watch it */
struct loaded {
	struct bpf_object *obj, *watchers[MOST_PARTS];
	struct bpf_link *links[MOST_PARTS];
	int fd, nr_watchers;
	struct user_ring_buffer *ring;
	int samples;	/* in there, before the last run */
	bool drains;	/* one for each round */
	volatile struct state *state;
};

extern int device;		/* the test module's */
extern const char *object;	/* the file */
extern char log_buf[LOG_SIZE];	/* what the verifier said of the program loaded last */

/* The end of log_buf, in one line */
const char *last_said(void);

/* programs.c; what returns bool has said what was wrong if that is false */
struct bpf_object *open_one(const char *name, const struct loaded *with);
bool load(struct loaded *l, const char *name);
void unload(struct loaded *l);
bool watch(struct loaded *l, const char *watcher, bool in_kernel, const char *func);
bool reset(struct loaded *l, __u64 throw_at);
bool state_is(const struct loaded *l, const char *what, __u64 have, __u64 want);
bool run_syscall(struct loaded *l, __u32 *ret);
bool run_xdp(struct loaded *l, enum test_context context, __u32 *ret);

/* Tests, without what callbacks.c says of them */
bool vma_own(void);
bool vma_other(void);
bool vma_nmi(void);
bool timer(void);
bool timer_inlined(void);
bool timer_loop(void);
bool timer_watched(void);
bool timer_alone(void);
bool timer_not_alone(void);

#endif /* _CALLBACKS_H */
