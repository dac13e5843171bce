/* SPDX-License-Identifier: GPL-2.0-only */
/* What there is for programs to hold, and whether they still do */
#ifndef _FUZZ_THINGS_H
#define _FUZZ_THINGS_H

#include <stddef.h>
#include "emit.h"

/* Make what @maps doesn't have yet: ring buffer, socket, locks; ends the process if that fails */
void things_init(struct maps *maps);
/* Before a program runs: there is room in the ring buffer */
void things_prepare(void);
/* After it: whether a record is still reserved. Cheap, but for records only. */
bool records_left(void);
/*
 * What is still held since it was asked last, of all kinds, in words; or NULL. To be asked where
 * things_prepare() and records_left() were called around each run.
 */
const char *things_left(void);

#endif /* _FUZZ_THINGS_H */
