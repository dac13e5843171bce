/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_EXCEPTIONS_RELEASE_H
#define _BPF_EXCEPTIONS_RELEASE_H

#include "unwind.h"

#ifdef BPF_UNWIND_RELEASES
/* May a throw find something held in this function? */
static inline bool may_hold(const struct bpf_unwind_frame *frame)
{
	return frame->flags & BPF_UNWIND_HOLDS;
}

void bpf_exceptions_release(const struct throw_frame *at, const unsigned long *scratch,
			    struct bpf_unwind_cleanup *cleanup, bool unlocked);
void bpf_exceptions_unlock(const struct throw_frame *at, const unsigned long *scratch,
			   struct bpf_unwind_cleanup *cleanup);
void bpf_exceptions_count_held(const struct throw_frame *at, const unsigned long *scratch,
			       const struct bpf_unwind_cleanup *cleanup, struct trail *trail);
#else
/* A kernel whose series ends before programs may hold things where they throw */
struct bpf_unwind_cleanup;

static inline bool may_hold(const struct bpf_unwind_frame *frame)
{
	return false;
}

static inline struct bpf_unwind_cleanup *bpf_unwind_cleanup(const struct bpf_unwind_table *table)
{
	return NULL;
}

static inline void bpf_exceptions_release(const struct throw_frame *at,
					  const unsigned long *scratch,
					  struct bpf_unwind_cleanup *cleanup, bool unlocked)
{
}

static inline void bpf_exceptions_unlock(const struct throw_frame *at,
					 const unsigned long *scratch,
					 struct bpf_unwind_cleanup *cleanup)
{
}

static inline void bpf_exceptions_count_held(const struct throw_frame *at,
					     const unsigned long *scratch,
					     const struct bpf_unwind_cleanup *cleanup,
					     struct trail *trail)
{
}
#endif

#endif /* _BPF_EXCEPTIONS_RELEASE_H */
