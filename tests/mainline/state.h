/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _MAINLINE_STATE_H
#define _MAINLINE_STATE_H

#include <stdbool.h>
#include <string.h>

/* Is there a state in the verifier's @log of which @expect, as 6.12 writes it, is true? */
bool log_has_state(const char *log, const char *expect);

#endif /* _MAINLINE_STATE_H */
