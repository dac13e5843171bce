/* SPDX-License-Identifier: GPL-2.0-only */
/* How a test says why it fails */
#ifndef _FAIL_H
#define _FAIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* Print a line of KTAP's diagnostics. Return: false */
static inline __attribute__((format(printf, 1, 2))) bool fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("# ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
	return false;
}

#endif /* _FAIL_H */
