/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef COMMON_H
#define COMMON_H

#include <err.h>
#include <stdlib.h>

static inline void *must(void *p)
{
	if (!p)
		err(1, "no memory");
	return p;
}

#endif
