/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_EXCEPTIONS_STALE_H
#define _BPF_EXCEPTIONS_STALE_H

#include <linux/types.h>

struct pt_regs;

bool test_sample_stale(struct pt_regs *regs);
long test_refresh_stale(void);

#endif /* _BPF_EXCEPTIONS_STALE_H */
