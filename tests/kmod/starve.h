/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_EXCEPTIONS_STARVE_H
#define _BPF_EXCEPTIONS_STARVE_H

#ifdef CONFIG_FAULT_INJECTION
int test_starve_init(void);
void test_starve_exit(void);
#else
static inline int test_starve_init(void) { return 0; }
static inline void test_starve_exit(void) { }
#endif

#endif /* _BPF_EXCEPTIONS_STARVE_H */
