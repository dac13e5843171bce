/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_EXCEPTIONS_UNWIND_H
#define _BPF_EXCEPTIONS_UNWIND_H

#include <linux/bpf_unwind.h>

#if BPF_UNWIND_REVISION != 1
#error "this kernel tree has another revision of the companion series: use the jit-patch/ that came with this module"
#endif

/**
 * struct throw_frame - what bpf_throw() has pushed, and pops again
 * @cookie: argument of the throw
 * @saved: rbx, r13, r14, r15, in the order in which BPF prologues push them: as the
 *	thrower has them when the walk begins, as the main program's caller had them
 *	when it ends. BPF code doesn't touch r12, and C gives it back.
 * @fp: frame pointer, the thrower's when it begins, the main program's when it ends
 * @ip: return address of the throw
 */
struct throw_frame {
	u64 cookie;
	unsigned long saved[4];
	unsigned long *fp;
	unsigned long ip;
};

unsigned long bpf_exceptions_unwind(struct throw_frame *throw,
				    struct bpf_unwind_table *table);

#endif /* _BPF_EXCEPTIONS_UNWIND_H */
