/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_EXCEPTIONS_PENDING_H
#define _BPF_EXCEPTIONS_PENDING_H

#include "unwind.h"

#ifdef BPF_UNWIND_PENDING

/* In place of an exception callback: the program goes on, nothing that is pending is its own */
#define BPF_EXCEPTIONS_GO_ON 1

/*
 * Leave the main program's frame, and return. Below this bit are saved_off and saved_regs of struct
 * bpf_unwind_frame.
 */
#define BPF_EXCEPTIONS_LEAVE 0x10000

/* Code of throw.c, ahead of the kfunc */
extern char bpf_throw_callbacks[], bpf_throw_resume[];

int bpf_exceptions_pending_init(void);
void bpf_exceptions_pending_exit(void);
bool bpf_exceptions_ends_callback(struct bpf_unwind_table *table,
				  const struct bpf_unwind_frame *frame, const unsigned long *fp);
void bpf_exceptions_follow_helpers(struct bpf_unwind_table *table, struct trail *trail);
struct landing bpf_exceptions_unwind_callbacks(struct throw_frame *throw,
					       struct bpf_unwind_table *table);
struct landing bpf_exceptions_resume(struct throw_frame *throw, struct bpf_unwind_table *table);
struct landing bpf_exceptions_resume_main(u64 ret, struct bpf_unwind_table *table,
					  const unsigned long *ip);

#else

static inline int bpf_exceptions_pending_init(void)
{
	return 0;
}

static inline void bpf_exceptions_pending_exit(void)
{
}

static inline bool bpf_exceptions_ends_callback(struct bpf_unwind_table *table,
						const struct bpf_unwind_frame *frame,
						const unsigned long *fp)
{
	return false;
}

static inline void bpf_exceptions_follow_helpers(struct bpf_unwind_table *table,
						 struct trail *trail)
{
}

#endif

#endif /* _BPF_EXCEPTIONS_PENDING_H */
