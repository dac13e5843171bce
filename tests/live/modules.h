/* SPDX-License-Identifier: GPL-2.0-only */
/* Loads and unloads modules, and reports the state of livepatches */
#ifndef _MODULES_H
#define _MODULES_H

#include <stdbool.h>

extern const char *folder;	/* that they are in, as NAME.ko */

/* Return 0 or an errno, and set errno */
int load(const char *name);
int load_with(const char *name, const char *parameters);
int unload(const char *name);
/* Tries for half a minute, as what holds a module goes after a grace period or a transition */
bool unload_soon(const char *name);

/* What a livepatch's @file in sysfs has; -1: it isn't there, so that the livepatch is disabled */
int read_state(const char *livepatch, const char *file);
/* Wait a minute for "transition": 1 while that is on, 0 when the livepatch is enabled, or -1 */
bool wait_for(const char *livepatch, int transition);
bool begin_disabling(const char *livepatch);
bool disable(const char *livepatch);

void clear_log(void);
/* Whether the kernel's log since then has @text; prints a line if it doesn't */
bool log_has(const char *text);

#endif /* _MODULES_H */
