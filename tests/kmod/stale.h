/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_EXCEPTIONS_STALE_H
#define _BPF_EXCEPTIONS_STALE_H

int test_stale_init(void);
void test_stale_exit(void);

#endif /* _BPF_EXCEPTIONS_STALE_H */
