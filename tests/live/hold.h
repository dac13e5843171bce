/* SPDX-License-Identifier: GPL-2.0-only */
/* Holds up a thread inside a system call, when it accesses a page that isn't there yet */
#ifndef _HOLD_H
#define _HOLD_H

#include <pthread.h>
#include <stdbool.h>

#define HOLD_SIZE 4096

struct hold {
	char *page;		/* for the system call to read or to write */
	int (*call)(struct hold *hold);
	int result;		/* what the call has returned, after hold_end(), ... */
	int err;		/* ... and its errno */
	int uffd;
	pthread_t thread;
};

/* Make a thread run hold->call(); true if it sleeps there within a minute */
bool hold_begin(struct hold *hold, int (*call)(struct hold *hold));
/* Let it continue, with zeros in the page, and wait for it to end */
void hold_end(struct hold *hold);

#endif /* _HOLD_H */
