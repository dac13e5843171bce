/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _FUZZ_FUZZ_H
#define _FUZZ_FUZZ_H

#include <linux/types.h>

void announce(const char *what, __u64 seed);
double now(void);
void progress(const char *what, int done, int count);

#endif /* _FUZZ_FUZZ_H */
