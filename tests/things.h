/* SPDX-License-Identifier: GPL-2.0-only */
/* What there is for programs to hold, and whether they still do */
#ifndef _THINGS_H
#define _THINGS_H

#include <stdbool.h>

/* Maps with them */
struct things {
	int ringbuf;
	int sockets;	/* sockmap with one */
	int lock;	/* array of one value with a lock, see held_locks() */
	int locks;	/* the same with three */
	int kept;	/* array of one pointer to the kernel's object, for bpf_kptr_xchg() */
};

/* Make them; ends the process if that fails */
void things_init(struct things *things);

/* --- for who runs one program at a time ------------------------------------------------ */

/* Before the program runs: have room in the ring buffer */
void things_prepare(void);
/* After it: whether a record is still reserved */
bool records_left(void);

/* --- for all --------------------------------------------------------------------------- */

/* Make room for more records, up to one that is still reserved. Return: whether there is one */
bool things_consume(void);
/*
 * What is held that wasn't when it was asked last, records aside, in words; or NULL. A lock that
 * isn't free is always reported.
 */
const char *things_left(void);

#endif /* _THINGS_H */
